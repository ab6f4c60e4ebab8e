// What outlives the page, on this phone: the log-in and the number of the last message. Without storage, nothing does.

const PREFIX = "evcharge.drive.";

export function read(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name));
  } catch {
    return null;
  }
}

export function keep(name, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // it holds until the page is left
  }
}

/** For the client: where it keeps the number of the last message, apart for each user. */
export const seqStorage = {
  getItem: (name) => read(name),
  setItem: (name, value) => keep(name, value),
};
