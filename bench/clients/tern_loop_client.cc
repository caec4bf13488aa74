// Echo load from one thread: a tern::Client for each connection, all on one tern::Loop.
#include "tern/client.h"

#include "clients/client_program.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace tern::bench {
namespace {

/// State that all connections share. They report their results here.
struct Load {
  explicit Load(const ClientOptions& asked)
      : options(asked),
        payload(asked),
        measurement(asked),
        loop({.on_exception = [this](std::string_view what) { fail(what); }}) {}

  void on_open() {
    if (++opened < options.connections) return;
    loop.every(Measurement::interval, [this] {
      if (measurement.is_over(replies)) loop.stop();
    });
  }

  void fail(std::string_view what) {
    if (failure.empty()) failure = what;
    loop.stop();
  }

  const ClientOptions& options;
  Payload payload;
  Measurement measurement;
  Loop loop;
  std::size_t opened = 0;
  std::uint64_t replies = 0;
  std::string failure{};
};

struct Session {
  Load& load;

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

std::string explain(const Ended& ended) {
  if (ended.failure != nullptr) return ended.failure->message();
  return "a connection ended with " + std::to_string(static_cast<int>(ended.close->code)) + ": " +
         (ended.close->error ? ended.close->error.message() : ended.close->reason);
}

void run(const ClientOptions& options) {
  Load load(options);
  // The options of all clients.
  auto shared = std::make_shared<tern::ClientOptions>();
  shared->dial.limits.max_message_bytes = options.size;
  shared->dial.limits.max_queued_bytes =
      std::max(options.depth * (options.size + 14), shared->dial.limits.max_queued_bytes);
  shared->retry = Retry::never();
  shared->on_ended = [&load](const Ended& ended) { load.fail(explain(ended)); };
  std::vector<Client> clients;
  for (std::size_t i = 0; i < options.connections; ++i) {
    clients.emplace_back(load.loop, options.url, shared).connect<Session>(std::ref(load)).value();
  }
  load.loop.run().value();
  if (!load.failure.empty()) throw std::runtime_error(load.failure);
}

}  // namespace
}  // namespace tern::bench

int main(int argc, char** argv) {
  return tern::bench::client_main(argc, argv, "tern_loop_client", tern::bench::run);
}
