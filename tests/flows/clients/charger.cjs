// A charger made of npm's ocpp-rpc, which checks every message of both sides against the official schemas.
// node charger.cjs URL IDENTITY CARD: charges once by itself, then does what it is asked until its input ends.
"use strict";

const { RPCClient } = require("ocpp-rpc");

const [endpoint, identity, card] = process.argv.slice(2);
const client = new RPCClient({
  endpoint,
  identity,
  protocols: ["ocpp1.6"],
  strictMode: true,
});
const now = () => new Date().toISOString();
let meter = 1000;
let transactionId = null;

async function begin(idTag) {
  await client.call("StatusNotification", { connectorId: 1, errorCode: "NoError", status: "Preparing" });
  const start = { connectorId: 1, idTag, meterStart: meter, timestamp: now() };
  ({ transactionId } = await client.call("StartTransaction", start));
  await client.call("StatusNotification", { connectorId: 1, errorCode: "NoError", status: "Charging" });
  meter += 1500;
  const sampledValue = [{ value: String(meter), measurand: "Energy.Active.Import.Register", unit: "Wh" }];
  await client.call("MeterValues", {
    connectorId: 1,
    transactionId,
    meterValue: [{ timestamp: now(), sampledValue }],
  });
}

async function end(reason) {
  await client.call("StopTransaction", { transactionId, meterStop: meter, timestamp: now(), reason });
  transactionId = null;
  await client.call("StatusNotification", { connectorId: 1, errorCode: "NoError", status: "Available" });
}

async function boot() {
  await client.call("BootNotification", { chargePointVendor: "npm", chargePointModel: "ocpp-rpc" });
  for (const connectorId of [0, 1]) {
    await client.call("StatusNotification", { connectorId, errorCode: "NoError", status: "Available" });
  }
}

const accepted = () => ({ status: "Accepted" });
const later = (work) => setImmediate(() => work().catch((error) => { console.error(error); process.exit(1); }));
const then = (work) => ({ params }) => { later(() => work(params)); return { status: "Accepted" }; };
const handlers = {
  RemoteStartTransaction: then(({ idTag }) => begin(idTag)),
  RemoteStopTransaction: then(() => end("Remote")),
  Reset: then(boot),
  GetConfiguration: () => ({
    configurationKey: [{ key: "HeartbeatInterval", readonly: false, value: "300" }],
  }),
  ChangeConfiguration: accepted,
  UpdateFirmware: () => {
    later(async () => {
      for (const status of ["Downloading", "Downloaded", "Installing", "Installed"]) {
        await client.call("FirmwareStatusNotification", { status });
      }
    });
    return {};
  },
  GetLocalListVersion: () => ({ listVersion: 0 }),
  SendLocalList: accepted,
  ReserveNow: accepted,
  CancelReservation: accepted,
  SetChargingProfile: accepted,
  ClearChargingProfile: accepted,
  TriggerMessage: accepted,
};
for (const [action, handler] of Object.entries(handlers)) client.handle(action, handler);

async function main() {
  await client.connect();
  await boot();
  await client.call("Heartbeat", {});
  await client.call("Authorize", { idTag: card });
  await begin(card);
  await end("Local");
  process.stdin.resume();
  process.stdin.on("end", () => client.close().then(() => process.exit(0)));
}

main().catch((error) => { console.error(error); process.exit(1); });
