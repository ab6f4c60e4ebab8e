// Which chargers this page hears of. Each view says which it shows; the server is told the difference.

export class Followed {
  #ev;
  #wanted = new Map(); // by view
  #heard = new Set();
  #turn = Promise.resolve();

  constructor(ev) {
    this.#ev = ev;
  }

  /** Resolves to the present state of those that were not heard of before. */
  follow(view, ids) {
    this.#wanted.set(view, ids);
    this.#turn = this.#turn.catch(() => {}).then(() => this.#settle());
    return this.#turn;
  }

  async #settle() {
    const wanted = new Set([...this.#wanted.values()].flat());
    const gone = [...this.#heard].filter((id) => !wanted.has(id));
    const fresh = [...wanted].filter((id) => !this.#heard.has(id));
    for (const id of gone) this.#heard.delete(id);
    if (gone.length) await this.#ev.unsubscribe({ charger_ids: gone }).catch(() => {}); // what is no more, too
    if (!fresh.length) return [];
    const { chargers } = await this.#ev.subscribe({ charger_ids: fresh });
    for (const id of fresh) this.#heard.add(id);
    return chargers;
  }
}
