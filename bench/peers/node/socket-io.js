// Socket.IO over WebSockets alone, with connection state recovery.
// usage: node socket-io.js PORT      `echo` is sent back, `say` is sent to everybody
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
  socket.on('say', (text) => server.emit('say', text));
});

http.listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 1024 });
