// A NATS server that a test plays.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <gtest/gtest.h>
#include <map>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace tern::test {

// Speaks just enough of the protocol: INFO, PONG, and it learns the subscriptions.
class NatsPeer {
 public:
  NatsPeer() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener_, any, size), 0);
    EXPECT_EQ(::listen(listener_, 8), 0);
    EXPECT_EQ(::getsockname(listener_, any, &size), 0);
    url = "nats://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  NatsPeer(const NatsPeer&) = delete;
  ~NatsPeer() {
    hang_up();
    ::close(listener_);
  }

  // Waits for a client, and until it has logged in and subscribed all these subjects. The old
  // connection ends.
  void serve(const std::vector<std::string>& subjects) {
    hang_up();
    pollfd comes{listener_, POLLIN, 0};
    ASSERT_EQ(::poll(&comes, 1, 60'000), 1) << "no client comes";
    client_ = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    say("INFO {\"server_id\":\"x\",\"version\":\"2.9.0\",\"proto\":1,\"headers\":true,"
        "\"max_payload\":1048576" +
        more_info + "}\r\n");
    subscriptions_.clear();
    lines_.clear();
    has_logged_in_ = false;
    const auto is_subscribed = [&](auto& each) { return subscriptions_.contains(each); };
    while (!has_logged_in_ || !std::ranges::all_of(subjects, is_subscribed)) {
      if (!read_lines()) break;
    }
  }
  std::string sid(const std::string& subject) const { return subscriptions_.at(subject); }
  // Sends as much as the client takes. Returns the number of bytes that it took, and stops when it
  // takes nothing for half a second.
  std::size_t say(std::string_view bytes) {
    const timeval time{.tv_sec = 0, .tv_usec = 500'000};
    ::setsockopt(client_, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
    std::size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t more = ::send(client_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (more <= 0) break;
      sent += static_cast<std::size_t>(more);
    }
    return sent;
  }
  void say_all(std::string_view bytes) {
    while (!bytes.empty()) bytes.remove_prefix(say(bytes));
  }
  void hang_up() {
    if (client_ >= 0) ::close(std::exchange(client_, -1));
    unread_.clear();
  }

  // Waits for a line that begins so, and removes it and all before it. Payloads are lines, too.
  std::string wait_line(std::string_view begin) {
    for (;;) {
      while (!lines_.empty()) {
        std::string line = std::move(lines_.front());
        lines_.pop_front();
        if (line.starts_with(begin)) return line;
      }
      pollfd comes{client_, POLLIN, 0};
      if (::poll(&comes, 1, 60'000) != 1 || !read_lines()) {
        ADD_FAILURE() << "no line begins with " << begin;
        return {};
      }
    }
  }

  std::string url;
  std::string more_info{};  // in INFO: ,"name":value

 private:
  // Returns false at the end of the connection.
  bool read_lines() {
    char bytes[4096];
    const ssize_t got = ::recv(client_, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    unread_.append(bytes, static_cast<std::size_t>(got));
    for (std::size_t end; (end = unread_.find("\r\n")) != unread_.npos;) {
      const std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 2);
      if (line == "PING") {
        has_logged_in_ = true;
        say("PONG\r\n");
      }
      lines_.push_back(line);
      if (!line.starts_with("SUB ")) continue;
      const std::size_t subject_end = line.find(' ', 4);
      subscriptions_[line.substr(4, subject_end - 4)] = line.substr(line.rfind(' ') + 1);
    }
    return true;
  }

  int listener_;
  int client_ = -1;
  bool has_logged_in_ = false;
  std::string unread_{};
  std::deque<std::string> lines_{};
  std::map<std::string, std::string> subscriptions_{};
};

}  // namespace tern::test
