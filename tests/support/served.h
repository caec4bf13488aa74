// A tern::Server in a thread of the test, for programs that are clients. It sends messages, counts
// their echoes, and stores how the connection ended.
#pragma once

#include "tern/server.h"

#include "support/process.h"

#include <atomic>
#include <future>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tern::test {

/// Add routes first, then call run(). The destructor stops it.
class Served {
 public:
  Served() = default;
  ~Served() { server_.stop(std::chrono::seconds(1)); }

  /// Adds a route at `path` that echoes.
  void echo(std::string path) {
    server_.route(std::move(path),
                  Handlers{
                      .on_message = [](Connection& conn, Message msg) { conn.send(msg); },
                      .on_close = [this](Connection&, const CloseInfo& info) { ended(info); },
                  });
  }

  /// Adds a route at `path` that sends each payload, as text and as binary, after the echo of the
  /// last one; then it closes with 1000.
  void expect_echoes(std::string path, std::vector<std::string> payloads) {
    server_.route<PayloadSender>(std::move(path), std::ref(*this), std::move(payloads));
  }

  /// Listens and serves.
  void run() {
    if (auto listens = server_.listen(); !listens) {
      ADD_FAILURE() << listens.error().message();
      return;
    }
    thread_ = std::jthread([this] {
      if (auto ran = server_.run(); !ran) ADD_FAILURE() << ran.error().message();
    });
  }

  std::uint16_t port() const { return server_.port(); }
  std::string url(const std::string& path) const {
    return "ws://127.0.0.1:" + std::to_string(port()) + path;
  }

  /// How the first connection ended. Waits for its end.
  CloseInfo close_info() {
    if (end_.wait_for(patience) != std::future_status::ready) {
      ADD_FAILURE() << "the connection does not end";
      return {};
    }
    return end_.get();
  }
  /// The number of received echoes, and of those that differ from the message.
  std::size_t echoes() const { return echoes_; }
  std::size_t differences() const { return differences_; }

 private:
  class PayloadSender {
   public:
    PayloadSender(Served& served, std::vector<std::string> payloads)
        : served_(served), payloads_(std::move(payloads)) {}

    void on_open(Connection& conn) { send_next(conn); }
    void on_message(Connection& conn, Message msg) {
      ++served_.echoes_;
      if (msg.type() != current().type() || msg.text() != current().text()) ++served_.differences_;
      ++sent_;
      send_next(conn);
    }
    void on_close(Connection&, const CloseInfo& info) { served_.ended(info); }

   private:
    Message current() const {
      const auto type = sent_ % 2 == 0 ? MessageType::text : MessageType::binary;
      return {type, std::string_view(payloads_[sent_ / 2])};
    }
    void send_next(Connection& conn) {
      if (sent_ == 2 * payloads_.size()) {
        conn.close();
      } else {
        conn.send(current());
      }
    }

    Served& served_;
    std::vector<std::string> payloads_;
    std::size_t sent_ = 0;
  };

  void ended(const CloseInfo& info) {
    if (!reported_.exchange(true)) promise_.set_value(info);
  }

  std::atomic<bool> reported_ = false;
  std::atomic<std::size_t> echoes_ = 0;
  std::atomic<std::size_t> differences_ = 0;
  std::promise<CloseInfo> promise_{};
  std::future<CloseInfo> end_ = promise_.get_future();
  Server server_{{.host = "127.0.0.1"}};
  std::jthread thread_{};
};

}  // namespace tern::test
