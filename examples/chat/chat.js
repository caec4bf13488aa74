// The page of examples/chat.cc: a login, a room, and a connection that comes again.
const [login, chat, room, say, log, state] =
    ['login', 'chat', 'room', 'say', 'log', 'state'].map(id => document.getElementById(id));
let socket = null;
let wait = 500;

function connect() {
  const name = decodeURIComponent(location.hash.slice(1)) || 'lobby';
  room.elements.room.value = name;
  log.replaceChildren();
  const url = new URL('rooms/' + encodeURIComponent(name), location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  url.hash = '';
  const mine = socket = new WebSocket(url);
  mine.onopen = () => { state.textContent = 'in ' + name; wait = 500; };
  mine.onmessage = event => {
    const line = document.createElement('li');
    line.textContent = event.data;
    log.append(line);
    log.scrollTop = log.scrollHeight;
  };
  mine.onclose = () => {
    if (mine !== socket) return;  // the person has changed the room
    state.textContent = 'not connected';
    setTimeout(() => { if (mine === socket) connect(); }, wait);
    wait = Math.min(2 * wait, 10000);
  };
}

room.onsubmit = event => { event.preventDefault(); location.hash = encodeURIComponent(room.elements.room.value); };
say.onsubmit = event => {
  event.preventDefault();
  if (socket.readyState !== WebSocket.OPEN) return;
  socket.send(say.elements.text.value);
  say.reset();
};
addEventListener('hashchange', () => { const old = socket; connect(); old?.close(); });

fetch('me').then(answer => answer.text()).then(name => {
  login.hidden = name !== '';
  chat.hidden = name === '';
  state.textContent = name === '' ? 'not logged in' : name;
  if (name !== '') connect();
});
