// Socket.IO over WebSockets alone, with connection state recovery.
// usage: node socket-io.js PORT      `echo` is sent back; `join` enters rooms, named with spaces between;
//                                    `say` is sent to the others in the first of them; `in` tells that it
//                                    listens, and that it has entered
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const http = createServer();
const server = new Server(http, {
  transports: ['websocket'],
  pingInterval: 25_000,
  pingTimeout: 5_000,
  connectionStateRecovery: {},
});

server.on('connection', (socket) => {
  socket.on('echo', (text) => socket.emit('echo', text));
  socket.on('join', (text) => {
    const rooms = text.split(' ');
    socket.data.room = rooms[0];
    socket.join(rooms);
    socket.emit('in', 'rooms');
  });
  socket.on('say', (text) => socket.to(socket.data.room).emit('say', text));
  if (!socket.recovered) socket.emit('in', 'here');
});

http.listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 1024 });
