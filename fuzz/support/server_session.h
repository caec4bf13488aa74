// The application of a whole server under fuzzing. Its session does what the received messages
// request, and checks the server's promises about the lifetime of sessions
// (include/tern/connection.h).
#pragma once

#include "tern/server.h"

#include "support/fake_kernel.h"
#include "support/wire.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tern::fuzz {

/// The history of one session. It outlives the session.
struct Life {
  unsigned stream = 0;  // the number of its stream in the fake kernel
  bool opened = false;
  bool closed = false;
  bool destroyed = false;
  std::vector<std::string> heard{};
};

/// The histories and handles of all sessions of a server.
struct Lives {
  std::deque<Life> all{};
  std::vector<Handle> handles{};
};

class Acting {
 public:
  explicit Acting(Lives& lives) : lives_(lives), life_(lives.all.emplace_back()) {}
  ~Acting() {
    demand(life_.closed, "a session without on_close");
    life_.destroyed = true;
  }
  Acting(const Acting&) = delete;
  Acting& operator=(const Acting&) = delete;

  void on_open(Connection& conn) {
    demand(!life_.opened && !life_.closed, "on_open a second time or after on_close");
    life_.opened = true;
    life_.stream = number_of(conn);
    lives_.handles.push_back(conn.handle());
  }

  void on_message(Connection& conn, Message message) {
    const std::string text(message.text());
    demand(life_.opened && !life_.closed, "a message before on_open or after on_close");
    demand(!quiet_, "a message after close() or terminate()");
    demand(!paused_, "a message while paused");
    demand(!message.is_text() || test::is_utf8(text), "text that is not UTF-8");
    life_.heard.push_back(text);
    act(conn, message);
  }

  void on_drain(Connection& conn) {
    demand(life_.opened && !life_.closed, "on_drain before on_open or after on_close");
    if (++drains_ < 3) conn.send(std::string(2000, 'd'));
  }

  void on_pong(Connection&, std::span<const std::byte> payload) {
    demand(life_.opened && !life_.closed, "a pong before on_open or after on_close");
    demand(!quiet_, "a pong after close() or terminate()");
    demand(!paused_, "a pong while paused");
    demand(payload.size() <= 125, "a pong of more than 125 bytes");
  }

  void on_close(Connection& conn, const CloseInfo& info) {
    demand(!life_.closed, "on_close twice");
    life_.closed = true;
    demand(info.opened == life_.opened, "CloseInfo::opened is wrong");
    demand(!conn.is_open(), "the connection is open in on_close");
    demand(!info.clean || !info.error, "a clean close with an error");
    demand(!conn.send("late"), "a send succeeded in on_close");
    conn.close();
    conn.resume();
    if (throws_late_) throw std::runtime_error("on_close");
  }

 private:
  using Milliseconds = std::chrono::milliseconds;

  // The fake kernel numbers its streams by their remote ports. If the address is not known, the
  // port is 0 and no stream has the resulting number.
  static unsigned number_of(const Connection& conn) {
    const std::string address = conn.remote_address();
    const auto port = std::strtoul(address.c_str() + address.rfind(':') + 1, nullptr, 10);
    return static_cast<unsigned>(port) - Kernel::first_port;
  }

  void act(Connection& conn, Message message) {
    const std::string_view text = message.text();
    const auto second = static_cast<unsigned char>(text.size() > 1 ? text[1] : 0);
    switch (text.empty() ? '\0' : text[0]) {
      case 'c':
        conn.close(static_cast<CloseCode>(1000 + second), text.substr(1));
        quiet_ = true;
        return;
      case 't':
        conn.terminate();
        quiet_ = true;
        return;
      case 'p':
        conn.pause();
        paused_ = true;
        conn.after(Milliseconds(100) * second, [this](Connection& same) { resume(same); });
        return;
      case 'P':
        conn.pause();
        resume(conn);
        return;
      case 'b':
        conn.send(std::string(second * 24u, 'b'));
        return;
      case 'S':
        conn.send(SharedMessage(std::string(second * 24u, 'S')));
        return;
      case 'i':
        conn.ping(std::as_bytes(std::span(text.substr(0, 125))));
        return;
      case 'x':
        throws_late_ = second % 2 == 0;
        quiet_ = true;
        if (second % 3 == 0) throw 3;
        throw std::runtime_error("on_message");
      default:
        act_later(conn, message, second);
    }
  }

  void act_later(Connection& conn, Message message, unsigned second) {
    const std::string_view text = message.text();
    switch (text.empty() ? '\0' : text[0]) {
      case 'e':
        timer_ = conn.every(Milliseconds(1 + second * 10), [this](Connection& same) {
          demand(!life_.closed, "a timer after on_close");
          same.send("tick");
          if (++ticks_ > 20) same.cancel(timer_);
        });
        return;
      case 'k':
        conn.cancel(timer_);
        return;
      case 'h': {
        const Handle self = conn.handle();
        self.send(message);
        self.post([](Connection& same) { same.send("posted"); });
        if (second % 2 != 0) self.close(CloseCode::normal, "by its handle");
        return;
      }
      case 'o':  // sends to all connections, even those that have ended
        for (const Handle& handle : lives_.handles) handle.send(message);
        return;
      case 'O':
        for (const Handle& handle : lives_.handles) {
          handle.post([](Connection& other) { other.terminate(); });
        }
        return;
      default:
        conn.send(message);
        return;
    }
  }

  void resume(Connection& conn) {
    demand(!life_.closed, "a timer after on_close");
    paused_ = false;
    conn.resume();
  }

  Lives& lives_;
  Life& life_;
  bool quiet_ = false;
  bool paused_ = false;
  bool throws_late_ = false;
  unsigned drains_ = 0;
  unsigned ticks_ = 0;
  TimerId timer_{};
};

/// A session whose constructor throws.
class Unmakable {
 public:
  Unmakable() { throw std::runtime_error("no session"); }
  void on_message(Connection&, Message) {
    demand(false, "a message for a session that was never created");
  }
};

}  // namespace tern::fuzz
