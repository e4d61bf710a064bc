// uWebSockets, in Bun: pings by itself, closes what is silent for 30 s.
// usage: bun bun.js PORT      /echo sends back, /room sends to everybody
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.argv[2]),
  fetch(request, server) {
    const { pathname } = new URL(request.url);
    if (server.upgrade(request, { data: { inRoom: pathname === '/room' } })) return;
    return new Response('Here only WebSockets are served.\n', { status: 426 });
  },
  websocket: {
    idleTimeout: 30,
    sendPings: true,
    perMessageDeflate: false,
    open(socket) {
      if (socket.data.inRoom) socket.subscribe('room');
    },
    message(socket, text) {
      if (socket.data.inRoom) server.publish('room', text);
      else socket.send(text);
    },
  },
});
