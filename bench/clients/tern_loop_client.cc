// Echo load from one thread: a tern::Client for each connection, all on one tern::Loop.
#include "tern/client.h"

#include "clients/loop_load.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace tern::bench {
namespace {

struct Session {
  LoopLoad& load;

  void on_open(Connection& conn) {
    for (std::size_t i = 0; i < load.options.depth; ++i) ask(conn);
    load.on_open();
  }
  void on_message(Connection& conn, Message message) {
    load.payload.check(message.text(), !message.is_text(), load.replies++);
    ask(conn);
  }
  void ask(Connection& conn) const {
    if (!conn.send(Message(MessageType::binary, load.payload.bytes()))) {
      load.fail("a message was not taken");
    }
  }
};

void run(const ClientOptions& options) {
  LoopLoad load(options);
  // The options of all clients.
  auto shared = std::make_shared<tern::ClientOptions>();
  shared->dial.limits.max_message_bytes = options.size;
  shared->dial.limits.max_queued_bytes =
      std::max(options.depth * (options.size + 14), shared->dial.limits.max_queued_bytes);
  shared->retry = Retry::never();
  shared->on_ended = [&load](const Ended& ended) {
    load.fail(ended.failure ? ended.failure->message() : explain(*ended.close));
  };
  std::vector<Client> clients;
  for (std::size_t i = 0; i < options.connections; ++i) {
    clients.emplace_back(load.loop, options.url, shared).connect<Session>(std::ref(load)).value();
  }
  load.run();
}

}  // namespace
}  // namespace tern::bench

int main(int argc, char** argv) {
  return tern::bench::client_main(argc, argv, "tern_loop_client", tern::bench::run);
}
