// ws, as its README has it: a ping for everybody every 25 s, and an end for those that did not answer.
// usage: node ws.js PORT      /echo sends back, /room sends to everybody
import { WebSocketServer } from 'ws';

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 1024 });
const room = new Set();

server.on('connection', (socket, request) => {
  socket.isAlive = true;
  socket.on('pong', () => (socket.isAlive = true));
  if (request.url === '/room') {
    room.add(socket);
    socket.on('message', (text) => {
      for (const reader of room) reader.send(text, { binary: false });
    });
    socket.on('close', () => room.delete(socket));
  } else {
    socket.on('message', (text) => socket.send(text, { binary: false }));
  }
});

setInterval(() => {
  for (const socket of server.clients) {
    if (!socket.isAlive) {
      socket.terminate();
      continue;
    }
    socket.isAlive = false;
    socket.ping();
  }
}, 25_000);
