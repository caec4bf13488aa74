// Runs tern::dial() and the BlockingClient that it returns on a kernel in memory
// (support/fake_kernel.h). Input: two bytes of options, then a script. The script holds the calls
// of the application; while a call waits, it holds the actions of the server, the network, the
// system and the clock.
//
// The target checks that each call returns, that the written bytes satisfy a strict reader, that
// the received messages are those that were sent, that nothing arrives after the end, and that the
// client leaves no descriptor open.
//
// Subject: src/client/connect.cc
// Subject: src/client/session.cc
// Subject: src/client/session_turn.cc
// Subject: src/client/wait.cc
#include "tern/dial.h"

#include "support/client_world.h"
#include "support/fake_kernel.h"
#include "support/far_end.h"
#include "support/input.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using tern::fuzz::demand;
using tern::fuzz::FarEnd;
using tern::fuzz::Input;
using tern::fuzz::Kernel;
using tern::fuzz::Stream;

class World {
 public:
  World(const std::uint8_t* data, std::size_t size) : input_(data, size) {
    kernel_.step = [this] { return step(); };
    kernel_.on_connect = [this](Stream&) { return tern::fuzz::result_of_connect(input_); };
  }

  void run() {
    const unsigned flags = input_.take();
    kernel_.fail_setup(input_.take());
    kernel_.connects_to_itself = (flags & 7) == 7;
    const char* const url = (flags & 8) != 0 ? "ws://[::1]:81/a?secret" : "ws://127.0.0.1/echo";
    auto dialled = tern::dial(url, options(flags));
    look();
    if (dialled) {
      demand(kernel_.open_descriptors() == 2, "an open client does not have two descriptors");
      use(*dialled);
      look();
    } else {
      demand(!dialled.error().message().empty(), "an error without a text");
      demand(dialled.error().message().find("secret") == std::string::npos,
             "an error text holds the query");
      demand(kernel_.open_descriptors() == 0, "a failed dial left descriptors open");
    }
    dialled = tern::Errc::closed;  // destroys the client
    demand(kernel_.open_descriptors() == 0, "the client left descriptors open");
    look();
  }

 private:
  static tern::DialOptions options(unsigned flags) {
    tern::DialOptions options;
    options.limits = tern::fuzz::small_limits();
    if ((flags & 16) != 0) options.protocols = {"chat", "superchat"};
    if ((flags & 32) != 0) options.headers = {{"Origin", "http://example.org"}};
    if ((flags & 64) != 0) options.headers = {{"Bad name", "x"}};
    if ((flags & 128) != 0) options.timeout = std::chrono::nanoseconds::max();
    return options;
  }

  FarEnd* server() {
    if (!server_ && !kernel_.dialled().empty()) {
      server_.emplace(tern::Role::client, kernel_.dialled().front());
    }
    return server_ ? &*server_ : nullptr;
  }

  void look() {
    if (FarEnd* const far = server()) far->look();
  }

  // ---- the world while a call waits

  bool step() {
    look();
    FarEnd* const far = server();
    if (input_.empty()) {
      // The server ends, if there is one. After that only timeouts happen.
      return far != nullptr && tern::fuzz::end_peer(*far->stream);
    }
    happens(input_.take() % 16, far);
    return true;
  }

  void happens(unsigned what, FarEnd* far) {
    if (what == 14) return kernel_.pass(100ms * input_.take());
    if (what == 15) return tern::fuzz::inject_fault(kernel_, input_);
    if (far == nullptr) return;
    if (tern::fuzz::end_connect(*far->stream, what == 1)) return;
    if (what < 5) {
      far->send_something(what, input_);
    } else if (what < 12) {
      far->treat_socket(what - 5, input_);
    } else if (what == 12) {
      far->send(tern::test::upgrade_answer(far->head()));
    } else {
      far->send(tern::test::upgrade_answer(far->head(), "Sec-WebSocket-Protocol: chat\r\n"));
    }
  }

  // ---- the application

  void use(tern::BlockingClient& client) {
    demand(client.protocol().empty() || client.protocol() == "chat",
           "a protocol that was not offered");
    demand(!client.header("sec-websocket-accept").empty(), "a 101 without its accept");
    demand(client.remote_address().find(':') != std::string::npos, "no address");
    head_ = server()->stream->received.find("\r\n\r\n") + 4;
    const bool exact = server()->stream->received.starts_with("HTTP/1.1 101 ");
    while (!input_.empty()) call(client);
    if (leave_it_) return;
    while (receive(client)) {
    }
    demand_ended(client);
    if (exact) tern::fuzz::demand_prefix(heard_, server()->messages_behind(head_));
  }

  void call(tern::BlockingClient& client) {
    const unsigned what = input_.take() % 16;
    switch (what) {
      case 0:
      case 1:
        receive(client, 100ms * input_.take());
        return;
      case 2:
        receive(client);
        return;
      case 3:
      case 4:
        sent(client.send(std::string(input_.take() * 12u, 's')));
        return;
      case 5: {
        const std::string bytes = input_.take_bytes();
        sent(client.send({tern::MessageType::binary, bytes}));
        return;
      }
      case 6: {
        const std::string bytes = input_.take_bytes();
        sent(client.ping(std::as_bytes(std::span(bytes))));
        return;
      }
      case 7:
        close(client);
        return;
      case 8:
        client.terminate();
        ended_ = true;
        demand(server()->stream->closed, "terminate() returned but the connection is open");
        return;
      case 9:
        leave_it_ = true;
        return;
      default:
        happens(what == 15 ? input_.take() % 16 : what - 10, server());
        return;
    }
  }

  void sent(const tern::Result<void>& result) {
    demand(!ended_ || !result, "a send succeeded after the end");
    if (!result) demand(!result.error().message().empty(), "an error without a text");
  }

  template <class... Timeout>
  bool receive(tern::BlockingClient& client, Timeout... timeout) {
    std::string payload;
    const auto got = client.receive(payload, timeout...);
    if (got) {
      demand(!ended_, "a message after the end");
      demand(payload.size() <= tern::fuzz::small_limits().max_message_bytes,
             "a message over the limit");
      demand(*got != tern::MessageType::text || tern::test::is_utf8(payload),
             "text that is not UTF-8");
      heard_.push_back(payload);
      return true;
    }
    if (got.error().code() == tern::Errc::timed_out) {
      demand(sizeof...(timeout) == 1, "a call without a timeout timed out");
    } else {
      ended_ = true;
    }
    return false;
  }

  void close(tern::BlockingClient& client) {
    const auto code = static_cast<tern::CloseCode>(990 + input_.take() * 8);
    const std::string reason = input_.take_bytes();
    const bool clean = client.close(code, reason, 100ms * input_.take());
    look();
    ended_ = true;
    demand(server()->stream->closed, "close() returned but the connection is open");
    demand(clean == client.close_info().clean, "close() and close_info() disagree");
    demand(client.close() == clean, "a second close() returned another result");
  }

  void demand_ended(tern::BlockingClient& client) {
    ended_ = true;
    receive(client, 0ms);
    sent(client.send("late"));
    const tern::CloseInfo info = client.close_info();
    demand(info.opened, "close_info() does not say that it was open");
    demand(!info.clean || !info.error, "a clean close with an error");
    look();
    demand(!info.clean || server()->reader().closed(), "a clean close without our Close frame");
  }

  Input input_;
  Kernel kernel_{};
  std::optional<FarEnd> server_{};
  std::vector<std::string> heard_{};
  std::size_t head_ = 0;
  bool ended_ = false;
  bool leave_it_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  World(data, size).run();
  return 0;
}
