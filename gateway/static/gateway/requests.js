// Requests and their answers, matched by request_id; answers may come out of order.

const LOST = { success: false, error: "The connection was lost before the answer came", code: "connection_lost" };
const NOT_CONNECTED = { success: false, error: "Connect first", code: "not_connected" };

export class Requests {
  #socket;
  #count = 0;
  #waiting = new Map();

  constructor(socket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ detail }) => this.#answered(detail.message));
    socket.addEventListener("state", ({ detail }) => {
      if (detail.name !== "open" && detail.name !== "connecting") this.#giveUp();
    });
  }

  /** The `data` of the answer; never rejects. */
  act(action, data = {}) {
    return new Promise((resolve) => {
      const id = `console-${++this.#count}`;
      this.#waiting.set(id, resolve);
      if (!this.#socket.send(JSON.stringify({ action, data, request_id: id }))) {
        this.#waiting.delete(id);
        resolve(NOT_CONNECTED);
      }
    });
  }

  #answered(message) {
    if (message?.type !== "response") return;
    this.#waiting.get(message.request_id)?.(message.data);
    this.#waiting.delete(message.request_id);
  }

  #giveUp() {
    for (const resolve of this.#waiting.values()) resolve(LOST);
    this.#waiting.clear();
  }
}
