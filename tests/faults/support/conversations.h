// Recorded conversations: the bytes that a client sends to a server, or a server to a client, from
// the upgrade to the end of TCP, both valid and invalid. A run of a conversation returns a log of
// everything visible: the events of the session and the bytes of the answer. The log must not
// depend on how the kernel cuts or delays the bytes.
#pragma once

#include "tern/dial.h"
#include "tern/server.h"

#include "faults/support/house.h"
#include "faults/support/syscalls.h"
#include "support/raw_client.h"
#include "support/running_server.h"
#include "support/socket_peer.h"
#include "support/upgrade_text.h"
#include "support/wire.h"

#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace tern::test {

struct Conversation {
  std::string name;
  std::string bytes;     // of a server: those behind its 101
  std::size_t head = 0;  // size of the upgrade request, if it is a valid one
};

inline std::string to_log(const CloseInfo& info) {
  return "closed " + std::to_string(static_cast<int>(info.code)) + " '" + info.reason + "' " +
         (info.clean ? "clean " : "unclean ") + (info.by_peer ? "by the peer, " : "by us, ") +
         info.error.message() + '\n';
}

/// Frames that either side sends behind the handshake: each form of a header, and each way in which
/// a connection ends.
inline std::vector<std::pair<std::string, std::string>> frame_streams(Role sender) {
  const auto end = [&](std::vector<Frame> frames) {
    frames.push_back(closing(1000, "bye"));
    return wire(sender, frames);
  };
  const auto raw = [&](std::string_view header, std::string_view rest = {}) {
    return std::string(header) + std::string(rest);
  };
  const std::string key = sender == Role::client ? std::string(4, '\0') : std::string();
  const char masked = sender == Role::client ? '\x80' : '\0';
  return {
      {"empty text", end({text("")})},
      {"text", end({text("Hello")})},
      {"binary", end({binary(std::string("\0\xFF\x80", 3))})},
      {"125", end({text(std::string(125, 'a'))})},
      {"126", end({text(std::string(126, 'b'))})},
      {"300", end({binary(std::string(300, 'c'))})},
      {"three", end({text("one"), binary("two"), text("three")})},
      {"utf-8", end({text("h\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80 end")})},
      {"utf-8 over fragments", end({text("\xF0\x9F", false), more("\x98", false), more("\x80")})},
      {"fragments", end({text("Hel", false), more("", false), more("lo")})},
      {"ping between fragments", end({binary("a", false), ping("p"), more("b")})},
      {"ping", end({ping("are you there"), text("x")})},
      {"empty ping", end({ping(), ping(), text("x")})},
      {"pong", end({pong("unsolicited"), text("x")})},
      {"125 of ping", end({ping(std::string(125, 'p'))})},
      {"close", wire(sender, closing(1000))},
      {"empty close", wire(sender, closing())},
      {"close 4999", wire(sender, closing(4999, "an application's"))},
      {"data behind close", wire(sender, {closing(1001), text("late")})},
      {"no close", wire(sender, text("and then nothing"))},
      {"no end of the message", wire(sender, text("half", false))},
      {"half a header", wire(sender, text("x")).substr(0, 1)},
      {"half a payload", wire(sender, text("hello world")).substr(0, 9)},
      {"bad utf-8", wire(sender, text("abc\xC0\xAF"))},
      {"cut utf-8", wire(sender, text("abc\xE2\x82"))},
      {"reserved bit", wire(sender, Frame{1, "x", true, 4})},
      {"reserved opcode", wire(sender, Frame{3, "x"})},
      {"reserved control", wire(sender, Frame{11, "x"})},
      {"long ping", wire(sender, ping(std::string(126, 'p')))},
      {"fragmented ping", wire(sender, Frame{9, "p", false})},
      {"continuation of nothing", wire(sender, more("x"))},
      {"message in a message", wire(sender, {text("a", false), text("b")})},
      {"close of one byte", wire(sender, Frame{8, "x"})},
      {"close 1005", wire(sender, closing(1005))},
      {"close not utf-8", wire(sender, closing(1000, "\xFF"))},
      {"wrong mask", wire(sender == Role::client ? Role::server : Role::client, text("x"))},
      {"long form", raw({"\x81", 1}, std::string(1, static_cast<char>(masked | 126)) +
                                         std::string("\0\x05", 2) + key + "Hello")},
      {"top bit", raw({"\x82", 1}, std::string(1, static_cast<char>(masked | 127)) +
                                       std::string("\x80\0\0\0\0\0\0\x01", 8) + key)},
      {"too big", wire_header(sender, binary({}), 2'000'000)},
  };
}

/// Conversations of a client: requests alone, and each stream of frames behind the request.
inline std::vector<Conversation> client_conversations() {
  const std::string request = upgrade_request({}, "/log");
  std::vector<Conversation> all = {
      {"page", page_request("/page")},
      {"two pages", page_request("/page") + page_request("/page", "HEAD")},
      {"no route", upgrade_request({}, "/nowhere")},
      {"plain request", page_request("/log")},
      {"origin", upgrade_request("Origin: http://evil.example\r\n", "/log")},
      {"fold", upgrade_request("A: b\r\n c\r\n", "/log")},
      {"not http", "\x16\x03\x01\x02\x01\x01\x01\xFC\x03\x03 hello there, is this TLS?\r\n\r\n"},
      {"bare line feed", "GET /log HTTP/1.1\nHost: a\n\n"},
      {"http/1.0", "GET /log HTTP/1.0\r\nHost: a\r\n\r\n"},
      {"a page of http/1.0", "GET /page HTTP/1.0\r\n\r\n" + page_request("/page")},
      {"absolute form", page_request("http://a/page") + page_request("http://b?c")},
      {"options", page_request("*", "OPTIONS") + page_request("/page", "OPTIONS")},
      {"http/1.2", "GET /log HTTP/1.2\r\nHost: a\r\n\r\n"},
      {"half a request", request.substr(0, request.size() / 2)},
  };
  for (auto& [name, bytes] : frame_streams(Role::client)) {
    all.push_back({name, request + bytes, request.size()});
  }
  return all;
}

/// Conversations of a server: each stream of frames behind its 101.
inline std::vector<Conversation> server_conversations() {
  std::vector<Conversation> all;
  for (auto& [name, bytes] : frame_streams(Role::server)) all.push_back({name, bytes});
  return all;
}

/// Returns `heads` without the values of the Date fields, because the time may have changed.
inline std::string without_dates(std::string heads) {
  const std::string_view name = "\r\nDate: ";
  for (auto at = heads.find(name); at != heads.npos; at = heads.find(name, at + 1)) {
    heads.erase(at + name.size(), heads.find("\r\n", at + 1) - at - name.size());
  }
  return heads;
}

/// A server with a session that logs and echoes.
class LoggingHouse : public House {
 public:
  LoggingHouse() {
    const auto write = [this](const std::string& line) {
      const std::lock_guard lock(events_mutex_);
      events_ += line;
    };
    server.route("/log", Handlers{
                             .on_open = [write](Connection&) { write("open\n"); },
                             .on_message =
                                 [write](Connection& conn, Message msg) {
                                   const bool text = msg.type() == MessageType::text;
                                   write((text ? "text " : "binary ") + shown(msg.text()) + '\n');
                                   conn.send(msg);
                                 },
                             .on_close = [write](Connection&,
                                                 const CloseInfo& info) { write(to_log(info)); },
                         });
    server.get("/page", [](const Request&) { return Response::text("a page"); });
  }

  /// Sends the bytes and FIN, and reads until the server ends. Returns the events, then the answer.
  std::string play(std::string_view bytes) {
    {
      const std::lock_guard lock(events_mutex_);
      events_.clear();
    }
    RawClient client(port());
    client.send(bytes);
    client.finish();
    const std::string answer = without_dates(client.body(std::size_t{1} << 20));
    const std::lock_guard lock(events_mutex_);
    return events_ + answer;
  }

 private:
  std::mutex events_mutex_{};
  std::string events_{};
};

/// Answers the upgrade of each client and sends a conversation at once. Its thread is a bystander.
class Reciter : public Listener {
 public:
  Reciter() = default;
  ~Reciter() { stop(); }

  void start() {
    thread_ = std::jthread([this] {
      const sys::Bystander bystander;
      for (;;) {
        Socket socket = accept();
        if (socket.fd() < 0) return;
        socket.upgrade({}, bytes_);
        socket.shutdown_write();
        FrameReader reader(Role::client);
        for (std::string got = socket.receive(); !got.empty(); got = socket.receive()) {
          reader.feed(got);
        }
        std::string answer = reader.fault();
        for (const Frame& frame : reader.frames()) answer += to_string(frame) + '\n';
        answers_.put(answer);
      }
    });
  }
  void stop() {
    ::shutdown(fd(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
  }

  /// A tern client receives the bytes. Returns its messages, how it ended, and its answers.
  std::string play(const std::string& bytes) {
    bytes_ = bytes;
    std::string log;
    {
      auto dialed = dial(url(), {.limits = {.max_message_bytes = 1'000'000}});
      if (!dialed) {
        log = dialed.error().message() + '\n';
      } else {
        std::string got;
        for (auto type = dialed->receive(got); type; type = dialed->receive(got)) {
          log += (*type == MessageType::text ? "text " : "binary ") + shown(got) + '\n';
        }
        dialed->close();
        log += to_log(dialed->close_info());
      }
    }
    return log + answers_.take().value_or("nothing");
  }

 private:
  std::string bytes_{};  // set while no client is connected
  Inbox<std::string> answers_{};
  std::jthread thread_{};
};

}  // namespace tern::test
