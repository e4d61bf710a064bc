// ws, as in its README: pings each client every 25 s, and ends those that did not answer.
// usage: node ws.js PORT      /echo sends back; /room/A/B is in the rooms A and B, and sends to the others in A
import { WebSocketServer } from 'ws';

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 1024 });
const members = new Map();

function enter(room, socket) {
  if (!members.has(room)) members.set(room, new Set());
  members.get(room).add(socket);
}

function leave(room, socket) {
  members.get(room).delete(socket);
  if (members.get(room).size === 0) members.delete(room);
}

server.on('connection', (socket, request) => {
  socket.isAlive = true;
  socket.on('pong', () => (socket.isAlive = true));
  const [, kind, ...rooms] = request.url.split('/');
  if (kind !== 'room') {
    socket.on('message', (text) => socket.send(text, { binary: false }));
    return;
  }
  for (const room of rooms) enter(room, socket);
  socket.on('message', (text) => {
    for (const reader of members.get(rooms[0])) if (reader !== socket) reader.send(text, { binary: false });
  });
  socket.on('close', () => {
    for (const room of rooms) leave(room, socket);
  });
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
