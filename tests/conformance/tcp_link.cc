// Connects the tester with a program of tern in either role. A write also reads, so that neither
// side blocks the other.
#include "conformance/tcp_link.h"

#include "conformance/negotiation.h"

#include <array>
#include <netinet/tcp.h>

namespace tern::conformance {

using test::field;
using test::until;

namespace {

using Clock = std::chrono::steady_clock;

// RFC 6455 §4.2.2, and nothing that the client did not offer.
void expect_upgraded(const std::string& answer) {
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 101 ")) << answer;
  EXPECT_EQ(field(answer, "Upgrade"), "websocket");
  EXPECT_EQ(field(answer, "Connection"), "Upgrade");
  EXPECT_EQ(field(answer, "Sec-WebSocket-Accept"), test::accept_of("dGhlIHNhbXBsZSBub25jZQ=="));
  EXPECT_EQ(field(answer, "Sec-WebSocket-Protocol"), "(absent)");
}

// RFC 6455 §4.1.
void expect_asks_for_upgrade(const std::string& request, const std::string& authority) {
  EXPECT_TRUE(request.starts_with("GET /case HTTP/1.1\r\n")) << request;
  EXPECT_EQ(field(request, "Host"), authority);
  EXPECT_EQ(field(request, "Upgrade"), "websocket");
  EXPECT_EQ(field(request, "Connection"), "Upgrade");
  EXPECT_EQ(field(request, "Sec-WebSocket-Version"), "13");
  EXPECT_EQ(field(request, "Sec-WebSocket-Key").size(), 24u);
  EXPECT_EQ(field(request, "Sec-WebSocket-Protocol"), "(absent)");
}

}  // namespace

void TcpLink::adopt(test::Socket socket) {
  socket_.emplace(std::move(socket));
  const int on = 1;
  ::setsockopt(fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void TcpLink::take_what_is_there() {
  std::array<char, 256 << 10> buffer;
  const ssize_t got = ::recv(fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got > 0) {
    in_.append(buffer.data(), static_cast<std::size_t>(got));
  } else if (got == 0) {
    end_ = Read::State::fin;
  } else if (errno != EAGAIN && errno != EINTR) {
    end_ = Read::State::reset;
  }
}

bool TcpLink::write(std::string_view bytes) {
  const auto deadline = Clock::now() + patience;
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) return false;
    const short reads = end_ ? 0 : POLLIN;
    pollfd ready{fd(), static_cast<short>(POLLOUT | reads), 0};
    if (::poll(&ready, 1, until(deadline)) == 0) return false;
    if ((ready.revents & POLLIN) != 0) take_what_is_there();
  }
  return true;
}

Read TcpLink::read(std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  while (in_.empty() && !end_) {
    pollfd ready{fd(), POLLIN, 0};
    const int count = ::poll(&ready, 1, until(deadline));
    if (count == 0) return {};
    if (count > 0) take_what_is_there();
  }
  if (!in_.empty()) return {Read::State::bytes, std::exchange(in_, {})};
  return {*end_};
}

void TcpLink::finish() { ::shutdown(fd(), SHUT_WR); }

std::string TcpLink::read_head() {
  std::string head;
  while (head.find("\r\n\r\n") == head.npos) {
    const Read got = read(patience);
    if (got.state != Read::State::bytes) {
      ADD_FAILURE() << "the opening handshake ends after: " << head;
      return head;
    }
    head += got.bytes;
  }
  const std::size_t end = head.find("\r\n\r\n") + 4;
  in_ = head.substr(end);
  head.resize(end);
  return head;
}

ServerLink::ServerLink(std::uint16_t port, std::string_view id) : TcpLink(Role::server) {
  test::Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(socket.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  adopt(std::move(socket));
  const std::string offer = offer_of(id);
  write(test::upgrade_request(extension_line(offer)));
  const std::string answer = read_head();
  expect_upgraded(answer);
  const std::string extensions = field(answer, "Sec-WebSocket-Extensions");
  if (offer.empty()) {
    EXPECT_EQ(extensions, "(absent)");
  }
  agreed = agreed_by(extensions, Role::client);
}

ClientLink::ClientLink(const std::vector<std::string>& flags, std::string_view id)
    : TcpLink(Role::client) {
  std::vector<std::string> words = {test::program("echo_back")};
  words.insert(words.end(), flags.begin(), flags.end());
  words.push_back(listener_.url("/case"));
  process_.emplace(words);
  pollfd coming{listener_.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&coming, 1, static_cast<int>(patience.count())), 1) << "no client connects";
  adopt(listener_.accept());
  const std::string request = read_head();
  expect_asks_for_upgrade(request, listener_.authority());
  const std::string extensions = answer_of(id, field(request, "Sec-WebSocket-Extensions"));
  agreed = agreed_by(extensions, Role::server);
  write(test::upgrade_answer(request, extension_line(extensions)));
}

ClientLink::~ClientLink() = default;

int ClientLink::exit_code() { return process_->exit_code(); }

}  // namespace tern::conformance
