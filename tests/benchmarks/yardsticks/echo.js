// What a bare Node server with `ws` needs to read a JSON action and answer it in JSON.
const { WebSocketServer } = require("ws");

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
  console.log(`listens on http://127.0.0.1:${server.address().port}/`);
});

server.on("connection", (socket) => {
  socket.on("message", (text) => {
    const { action, data, request_id } = JSON.parse(text);
    socket.send(JSON.stringify({ type: "response", action, data, request_id }));
  });
});
