// uWebSockets, in Bun: it pings by itself, and closes connections that are silent for 30 s.
// usage: bun bun.js PORT      /echo sends back; /room/A/B is in the rooms A and B, and sends to the others in A
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.argv[2]),
  fetch(request, server) {
    const [, kind, ...rooms] = new URL(request.url).pathname.split('/');
    if (server.upgrade(request, { data: kind === 'room' ? rooms : [] })) return;
    return new Response('Here only WebSockets are served.\n', { status: 426 });
  },
  websocket: {
    idleTimeout: 30,
    sendPings: true,
    perMessageDeflate: false,
    open(socket) {
      for (const room of socket.data) socket.subscribe(room);
    },
    message(socket, text) {
      const [room] = socket.data;
      if (room) socket.publish(room, text);
      else socket.send(text);
    },
  },
});
