// Why a socket ended, in words; whether trying again may help; whether it takes another token.

const LOG_IN = "Log in again, or paste another token.";

// The reasons the server gives with code 1008.
const REFUSALS = {
  "Authentication required": { text: `The server asks for a token and got none. ${LOG_IN}`, again: false, needsToken: true },
  "Invalid authentication token": {
    text: `The server does not accept this token: it is damaged, was made elsewhere, or its user has logged out, was disabled or has a new password. ${LOG_IN}`,
    again: false,
    needsToken: true,
  },
  "Token expired": { text: `The token has expired. ${LOG_IN}`, again: false, needsToken: true },
  "Server at capacity": { text: "The server has as many sockets as it takes. Try again later.", again: true },
  "Too many connections": { text: "You have as many connections as one may. Close another tab or device.", again: false },
};

const CODES = {
  1000: "The server ended the connection.",
  1001: "The server is going away.",
  1002: "The server says this page broke the WebSocket protocol.",
  1003: "The server does not take this kind of message.",
  1005: "The server ended the connection without a reason.",
  1006: "The line was lost without a goodbye: the network went away, or the server was stopped.",
  1007: "The server could not read a message as text.",
  1009: "A message was larger than the server takes.",
  1011: "The server met an error of its own.",
  1012: "The server is restarting.",
  1013: "The server asks to come back later.",
};

/** `{text, again, needsToken}` for a close event; `wasOpen` tells a lost line from one that never was. */
export function explain({ code, reason, wasOpen }) {
  if (code === 1008) {
    const known = REFUSALS[reason];
    if (known) return { ...known, text: `${known.text} (1008: ${reason})` };
    return { text: `The server refused: ${reason || "no reason given"} (1008)`, again: false };
  }
  if (code === 1006 && !wasOpen) {
    return { text: "No connection came about: is the address right, and is the server running? (1006)", again: true };
  }
  const text = CODES[code] ?? "The connection ended.";
  return { text: `${text} (${code}${reason ? `: ${reason}` : ""})`, again: true };
}
