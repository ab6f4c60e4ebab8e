// What the page says, in English and Arabic, and numbers, money and times as people read them there.

const ENGLISH = {
  skip: "Skip to the content",
  other_language: "العربية",
  log_in: "Log in",
  log_out: "Log out",
  user_name: "User name",
  password: "Password",
  pages: "Pages",
  tab_find: "Find",
  tab_history: "History",
  find_title: "Find a charger",
  search: "Place or number of the charger",
  map: "Map of the chargers",
  zoom_in: "Zoom in",
  zoom_out: "Zoom out",
  near_me: "Near me",
  here: "You are here",
  no_position: "Your phone does not say where you are.",
  everywhere: "Show all places",
  places_here: "{count} places",
  found: "Chargers: {count}",
  found_here: "Chargers in this area: {count}",
  found_more: "The first {count} chargers. Search, or look closer on the map.",
  none_found: "No charger found.",
  more: "Show more",
  connector: "Connector",
  connector_n: "Connector {n}",
  start: "Start charging",
  starting: "Asking the charger…",
  charger_away: "This charger is not connected just now.",
  charging: "Charging",
  your_car: "Your car",
  not_charging: "You are not charging.",
  stage_waiting: "Waiting for the charger",
  stage_plug: "Plug in your car",
  stage_unknown: "The charger has not answered yet. It may still start.",
  stage_charging: "Charging",
  stage_paused: "Connected, no power flows",
  stage_stopping: "Stopping",
  stage_stale: "The charger is out of reach. These are its last figures.",
  ring: "{kwh} kWh delivered",
  ring_soc: "{kwh} kWh delivered, car at {soc} percent",
  car_at: "Car at {soc} %",
  turn: "One turn: {kwh}",
  power: "Power",
  cost: "Cost",
  duration: "Duration",
  power_over_time: "Power over time",
  chart: "Power over time: now {now} kW, at most {most} kW",
  at_most: "at most {power}",
  stop: "Stop charging",
  receipt: "Receipt",
  number: "Number",
  place: "Place",
  from: "From",
  to: "To",
  items: "Items",
  item: "Item",
  amount: "Amount",
  energy: "Energy",
  time: "Time",
  session: "Session fee",
  rounding: "Rounding",
  correction: "Correction",
  cancellation: "Cancellation",
  tax: "of which tax ({percent} %)",
  total: "Total",
  pdf: "Save as PDF",
  done: "Done",
  receipt_soon: "The receipt is not ready yet. It appears here by itself.",
  history_title: "Your charging",
  no_history: "Nothing yet.",
  offline: "No connection. Your car goes on charging; this page comes back by itself.",
  online_again: "Connected again",
  log_in_again: "Please log in again.",
  available: "Free",
  in_use: "In use",
  unavailable: "Not available",
  preparing: "Plugged in",
  failed: "Failed",
  pending: "Waiting",
  active: "Charging",
  stopping: "Stopping",
};

const ARABIC = {
  skip: "الانتقال إلى المحتوى",
  other_language: "English",
  log_in: "تسجيل الدخول",
  log_out: "خروج",
  user_name: "اسم المستخدم",
  password: "كلمة المرور",
  pages: "الصفحات",
  tab_find: "بحث",
  tab_history: "السجل",
  find_title: "ابحث عن شاحن",
  search: "المكان أو رقم الشاحن",
  map: "خريطة الشواحن",
  zoom_in: "تكبير",
  zoom_out: "تصغير",
  near_me: "بالقرب مني",
  here: "أنت هنا",
  no_position: "لا يخبر هاتفك بموقعك.",
  everywhere: "عرض كل الأماكن",
  places_here: "{count} أماكن",
  found: "عدد الشواحن: {count}",
  found_here: "عدد الشواحن في هذه المنطقة: {count}",
  found_more: "أول {count} شاحنًا. ابحث، أو كبّر الخريطة.",
  none_found: "لم يُعثر على شاحن.",
  more: "عرض المزيد",
  connector: "المقبس",
  connector_n: "المقبس {n}",
  start: "ابدأ الشحن",
  starting: "جارٍ الاتصال بالشاحن…",
  charger_away: "هذا الشاحن غير متصل الآن.",
  charging: "الشحن",
  your_car: "سيارتك",
  not_charging: "لا يوجد شحن جارٍ.",
  stage_waiting: "في انتظار الشاحن",
  stage_plug: "صِل سيارتك بالشاحن",
  stage_unknown: "لم يرد الشاحن بعد، وقد يبدأ الشحن.",
  stage_charging: "جارٍ الشحن",
  stage_paused: "متصل، ولا تمر طاقة",
  stage_stopping: "جارٍ الإيقاف",
  stage_stale: "تعذر الوصول إلى الشاحن. هذه آخر قراءاته.",
  ring: "تم شحن {kwh} كيلوواط ساعة",
  ring_soc: "تم شحن {kwh} كيلوواط ساعة، البطارية {soc} بالمئة",
  car_at: "البطارية {soc} %",
  turn: "الدورة: {kwh}",
  power: "القدرة",
  cost: "التكلفة",
  duration: "المدة",
  power_over_time: "القدرة عبر الزمن",
  chart: "القدرة عبر الزمن: الآن {now} كيلوواط، الأقصى {most} كيلوواط",
  at_most: "الأقصى {power}",
  stop: "أوقف الشحن",
  receipt: "الإيصال",
  number: "الرقم",
  place: "المكان",
  from: "من",
  to: "إلى",
  items: "البنود",
  item: "البند",
  amount: "المبلغ",
  energy: "الطاقة",
  time: "الوقت",
  session: "رسم الجلسة",
  rounding: "تقريب",
  correction: "تصحيح",
  cancellation: "إلغاء",
  tax: "منها ضريبة ({percent} %)",
  total: "المجموع",
  pdf: "حفظ بصيغة PDF",
  done: "تم",
  receipt_soon: "الإيصال غير جاهز بعد، وسيظهر هنا تلقائيًا.",
  history_title: "عمليات الشحن",
  no_history: "لا شيء بعد.",
  offline: "لا يوجد اتصال. سيارتك تواصل الشحن، وستعود الصفحة تلقائيًا.",
  online_again: "عاد الاتصال",
  log_in_again: "يرجى تسجيل الدخول مرة أخرى.",
  available: "متاح",
  in_use: "مشغول",
  unavailable: "غير متاح",
  preparing: "السيارة موصولة",
  failed: "فشل",
  pending: "في الانتظار",
  active: "جارٍ الشحن",
  stopping: "جارٍ الإيقاف",
};

const WORDS = { en: ENGLISH, ar: ARABIC };
const UNKNOWN = "–";

const wished = [new URLSearchParams(location.search).get("lang"), ...navigator.languages].map((tag) => tag?.slice(0, 2).toLowerCase());
export const language = wished.find((tag) => tag in WORDS) ?? "en";
const LOCALE = language === "ar" ? "ar-u-nu-latn" : navigator.languages.find((tag) => tag.startsWith("en")) ?? "en"; // the digits of the charger's display

/** A sentence of the page, with its gaps filled. */
export function say(name, gaps = {}) {
  return WORDS[language][name].replace(/\{(\w+)\}/g, (_, gap) => gaps[gap]);
}

/** The texts that stand in the page from the beginning. */
export function translatePage() {
  document.documentElement.lang = language;
  document.documentElement.dir = language === "ar" ? "rtl" : "ltr";
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = say(element.dataset.t);
  for (const element of document.querySelectorAll("[data-t-label]")) element.setAttribute("aria-label", say(element.dataset.tLabel));
}

/** The same page in the other language. */
export function otherLanguage() {
  const url = new URL(location.href);
  url.searchParams.set("lang", language === "ar" ? "en" : "ar");
  return url.href;
}

const known = (value) => value !== null && value !== undefined;

export function number(value, decimals = 0) {
  return known(value) ? value.toLocaleString(LOCALE, { minimumFractionDigits: decimals, maximumFractionDigits: decimals }) : UNKNOWN;
}

/** `1.50 kWh`, which keeps its order in a text from right to left. */
export function measure(value, decimals, unit) {
  return known(value) ? `\u2066${number(value, decimals)} ${unit}\u2069` : UNKNOWN;
}

export function money(value, currency) {
  if (!known(value) || !currency) return UNKNOWN;
  try {
    return value.toLocaleString(LOCALE, { style: "currency", currency });
  } catch {
    return `${number(value, 2)} ${currency}`; // not a currency the browser knows
  }
}

/** `1:02:03` */
export function stopwatch(seconds) {
  if (!known(seconds)) return UNKNOWN;
  const pad = (value) => String(Math.floor(value)).padStart(2, "0");
  return `${Math.floor(seconds / 3600)}:${pad((seconds / 60) % 60)}:${pad(seconds % 60)}`;
}

export function clock(time) {
  return new Date(time).toLocaleTimeString(LOCALE, { hour: "2-digit", minute: "2-digit" });
}

export function moment(time) {
  return known(time) ? new Date(time).toLocaleString(LOCALE, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }) : UNKNOWN;
}
