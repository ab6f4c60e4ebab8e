// The common OCPP library for Node, checking every message by its schema and storing nothing.
const { RPCServer } = require("ocpp-rpc");

const server = new RPCServer({ protocols: ["ocpp1.6"], strictMode: true });

server.auth((accept) => accept());
server.on("client", (charger) => {
  charger.handle("Heartbeat", () => ({ currentTime: new Date().toISOString() }));
  charger.handle("MeterValues", () => ({}));
});

server.listen(0, "127.0.0.1").then((http) => {
  console.log(`listens on http://127.0.0.1:${http.address().port}/`);
});
