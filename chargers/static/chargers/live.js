// Looks again at pages that show something under way: whatever carries `data-refresh` says after how many seconds.
// Only what is read changes; inputs, selections and messages stay as they are.
"use strict";
{
  const SHOWN =
    "#result_list tbody td:not(.action-checkbox), #result_list tbody th, .readonly, .inline-related tbody td:not(.original) > p";
  const shown = (page) => [...page.querySelectorAll(SHOWN)];
  // The rows by their check boxes; a list that has none may take whatever comes.
  const rows = (page) => [...page.querySelectorAll("input.action-select")].map((box) => box.value).join();

  function look(page) {
    const now = shown(document), next = shown(page);
    if (now.length === next.length && rows(document) === rows(page)) {
      now.forEach((cell, i) => {
        if (cell.innerHTML !== next[i].innerHTML) cell.innerHTML = next[i].innerHTML;
      });
    } else if (document.querySelector("#result_list") && !document.querySelector("input.action-select:checked, .messagelist")) {
      location.reload();
    }
  }

  async function again() {
    if (!document.hidden) {
      try {
        const response = await fetch(location.href, { headers: { "X-Requested-With": "XMLHttpRequest" } });
        if (!response.ok || response.redirected) return; // signed out, or gone
        look(new DOMParser().parseFromString(await response.text(), "text/html"));
      } catch {
        // The server is away; it is asked again.
      }
    }
    wait();
  }

  function wait() {
    const seconds = [...document.querySelectorAll("[data-refresh]")].map((each) => Number(each.dataset.refresh));
    if (seconds.length) setTimeout(again, 1000 * Math.min(...seconds));
  }

  document.addEventListener("DOMContentLoaded", wait);
}
