// The same with a database, as one writes it: a pool of 32 connections, one SELECT and one INSERT for each message.
const { RPCServer } = require("ocpp-rpc");
const { Pool } = require("pg");

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 32 });
const server = new RPCServer({ protocols: ["ocpp1.6"], strictMode: true });

const FIND = "SELECT id, registration FROM chargers_charger WHERE identity = $1";
const STORE = `INSERT INTO yardstick_reading (charger_id, transaction_id, measured_at, energy_wh, sampled_values)
  VALUES ($1, $2, $3, $4, $5)`;
const TABLE = `CREATE TABLE IF NOT EXISTS yardstick_reading (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, charger_id bigint NOT NULL, transaction_id bigint,
  measured_at timestamptz NOT NULL, energy_wh double precision, sampled_values jsonb NOT NULL);
  CREATE INDEX IF NOT EXISTS yardstick_reading_charger ON yardstick_reading (charger_id, measured_at)`;

server.auth((accept) => accept());
server.on("client", (charger) => {
  charger.handle("MeterValues", async ({ params }) => {
    const { timestamp, sampledValue } = params.meterValue[0];
    const found = await pool.query({ name: "find", text: FIND, values: [charger.identity] });
    await pool.query({
      name: "store",
      text: STORE,
      values: [
        found.rows[0].id,
        params.transactionId,
        timestamp,
        Number(sampledValue[0].value),
        JSON.stringify(sampledValue),
      ],
    });
    return {};
  });
});

pool
  .query(TABLE)
  .then(() => server.listen(0, "127.0.0.1"))
  .then((http) => {
    console.log(`listens on http://127.0.0.1:${http.address().port}/`);
  });
