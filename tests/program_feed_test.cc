// examples/feed as a process: it subscribes again after each end, and no message comes twice or is
// missing.

#include "support/process.h"
#include "support/raw_socket.h"
#include "support/running_server.h"

#include <charconv>
#include <csignal>
#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

namespace tern::test {
namespace {

// A server of the feed, with messages up to a number. It repeats one message before the number that
// a client asks for, because feeds do that.
struct Publisher {
  Publisher(std::uint64_t number, Inbox<std::string>& inbox) : last(number), requests(inbox) {}

  void on_message(Connection& conn, Message message) {
    requests.put(std::string(message.text()));
    const std::string_view number = message.text().substr(5);
    std::uint64_t from = 0;
    std::from_chars(number.data(), number.data() + number.size(), from);
    for (std::uint64_t i = from > 0 ? from - 1 : 0; i <= last; ++i) {
      conn.send(std::to_string(i) + " item");
    }
  }

  std::uint64_t last;
  Inbox<std::string>& requests;
};

class Feed {
 public:
  // Serves messages up to this number. The first call chooses the port.
  void serve(std::uint64_t last) {
    server_ = std::make_unique<RunningServer>(ServerOptions{.port = port_});
    server_->server.route<Publisher>("/feed", last, std::ref(requests_));
    port_ = server_->start();
  }
  void end() { server_.reset(); }
  std::string url() const { return "ws://127.0.0.1:" + std::to_string(port_) + "/feed"; }
  std::string request() { return requests_.take().value_or(""); }

 private:
  std::uint16_t port_ = 0;
  Inbox<std::string> requests_{};
  std::unique_ptr<RunningServer> server_{};
};

std::vector<std::string> lines(Process& program, std::size_t count) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < count; ++i) all.push_back(program.line());
  return all;
}

TEST(ProgramFeed, ItResumesAfterARestart) {
  Feed feed;
  feed.serve(2);
  Process client({program("feed"), feed.url(), "--longest-wait", "0.1"});
  EXPECT_EQ(feed.request(), "from 0");
  EXPECT_EQ(lines(client, 3), (std::vector<std::string>{"0 item", "1 item", "2 item"}));

  feed.end();
  const std::string ended = client.error_line();
  EXPECT_NE(ended.find("; next attempt in "), std::string::npos) << ended;
  std::string refused;  // nothing listens
  while (refused.find("refused") == std::string::npos) {
    refused = client.error_line();
    ASSERT_FALSE(refused.empty());
  }

  feed.serve(4);
  EXPECT_EQ(feed.request(), "from 3");
  EXPECT_EQ(lines(client, 2), (std::vector<std::string>{"3 item", "4 item"}));
  client.signal(SIGINT);
  EXPECT_EQ(client.exit_code(), 0);
  EXPECT_EQ(client.out(), "0 item\n1 item\n2 item\n3 item\n4 item\n");
}

TEST(ProgramFeed, ItBeginsAtTheGivenNumber) {
  Feed feed;
  feed.serve(7);
  Process client({program("feed"), feed.url(), "--from", "6"});
  EXPECT_EQ(feed.request(), "from 6");
  EXPECT_EQ(lines(client, 2), (std::vector<std::string>{"6 item", "7 item"}));
  client.signal(SIGTERM);
  EXPECT_EQ(client.exit_code(), 0);
}

TEST(ProgramFeed, AnInterruptEndsTheWait) {
  const RawSocket closed_port = RawSocket::bound();
  Process client({program("feed"), "ws://127.0.0.1:" + std::to_string(closed_port.port()) + "/",
                  "--longest-wait", "3600"});
  const std::string refused = client.error_line();
  EXPECT_NE(refused.find("refused"), std::string::npos) << refused;
  client.signal(SIGINT);
  EXPECT_EQ(client.exit_code(), 0);
}

TEST(ProgramFeed, AFatalEndExitsOne) {
  Feed feed;
  feed.serve(0);
  for (const std::string& url : {feed.url() + "/nowhere", std::string("http://example.org/")}) {
    Process client({program("feed"), url});
    EXPECT_EQ(client.exit_code(), 1);
    EXPECT_NE(client.err(), "");
    EXPECT_EQ(client.out(), "");
  }
}

}  // namespace
}  // namespace tern::test
