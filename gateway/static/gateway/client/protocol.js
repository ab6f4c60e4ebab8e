// Written by docs/clients/generate.py from docs/asyncapi.json; not by hand.
/** Actions that are known by a key of the client's when they are repeated. */
export const WITH_CLIENT_REF = new Set(["start_charging", "stop_charging", "reserve"]);
/** A method for each action. */
export class Actions {
    /** Begin to charge. Answered when the charger has answered, within the command time-out. */
    startCharging(data, options) {
        return this.act("start_charging", data, options);
    }
    /** End the user's session, at the charger named or wherever it is. */
    stopCharging(data = {}, options) {
        return this.act("stop_charging", data, options);
    }
    /** One charger as it is now. */
    getChargerStatus(data, options) {
        return this.act("get_charger_status", data, options);
    }
    /** The user's active session, or null. */
    getActiveSession(data = {}, options) {
        return this.act("get_active_session", data, options);
    }
    /** Chargers, by identity; `cursor` is the `next_cursor` of the page before. */
    listChargers(data = {}, options) {
        return this.act("list_chargers", data, options);
    }
    /** Hear of chargers: by identity, by station, in an area of the map (in the place of the one before), or all. */
    subscribe(data = {}, options) {
        return this.act("subscribe", data, options);
    }
    /** Hear of them no longer. There is one area at most: `bbox` as null, true or an area ends it. */
    unsubscribe(data = {}, options) {
        return this.act("unsubscribe", data, options);
    }
    /** Be told, once, when there is a free connector: this one, one of the charger's, or one of the station's. */
    watch(data = {}, options) {
        return this.act("watch", data, options);
    }
    /** Do not be told. */
    unwatch(data, options) {
        return this.act("unwatch", data, options);
    }
    /** What the user waits for. */
    getWatches(data = {}, options) {
        return this.act("get_watches", data, options);
    }
    /** Keep a connector free, this or one that is, for so many minutes (15) or until then. Answered as a start is. */
    reserve(data, options) {
        return this.act("reserve", data, options);
    }
    /** Keep it no longer. */
    cancelReservation(data, options) {
        return this.act("cancel_reservation", data, options);
    }
    /** The user's open reservations. */
    getReservations(data = {}, options) {
        return this.act("get_reservations", data, options);
    }
    /** Go on with a fresh access token of the same user, on the open socket. */
    refreshToken(data, options) {
        return this.act("refresh_token", data, options);
    }
    /** The user's sessions, the newest first; `cursor` is the `next_cursor` of the page before. */
    listSessions(data = {}, options) {
        return this.act("list_sessions", data, options);
    }
    /** One of the user's sessions; with `points` its course for a chart, in so many at most. */
    getSession(data, options) {
        return this.act("get_session", data, options);
    }
    /** Is anybody there? For clients that cannot send WebSocket pings, such as browsers. */
    ping(data = {}, options) {
        return this.act("ping", data, options);
    }
}
