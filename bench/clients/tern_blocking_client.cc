// Echo load from a thread for each connection: tern::dial and BlockingClient, which is all that a
// program needs that has one connection and better things to do than to run a loop. Messages in
// flight have to fit into what the system and the server buffer: nobody receives while the first of
// them are sent.
#include "tern/dial.h"

#include "clients/client_program.h"

#include <atomic>
#include <cstdlib>
#include <stop_token>
#include <thread>
#include <vector>

namespace tern::bench {
namespace {

/// Until it is to stop or something goes wrong. Throws std::runtime_error.
void echo(const std::stop_token& stop, BlockingClient& client, const ClientOptions& options,
          const Payload& payload, std::atomic<std::uint64_t>& replies) {
  const Message message(MessageType::binary, payload.bytes());
  for (std::size_t i = 0; i < options.depth; ++i) client.send(message).value();
  std::string reply;
  while (!stop.stop_requested()) {
    const MessageType type = client.receive(reply).value();
    payload.check(reply, type == MessageType::binary,
                  replies.fetch_add(1, std::memory_order_relaxed));
    client.send(message).value();
  }
}

void run(const ClientOptions& options) {
  const Payload payload(options);
  std::vector<BlockingClient> clients;
  for (std::size_t i = 0; i < options.connections; ++i) {
    clients.push_back(dial(options.url, {.limits = {.max_message_bytes = options.size}}).value());
  }
  std::atomic<std::uint64_t> replies = 0;
  std::vector<std::jthread> threads;
  for (BlockingClient& client : clients) {
    threads.emplace_back([&](const std::stop_token& stop) {
      try {
        echo(stop, client, options, payload, replies);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "tern_blocking_client: %s\n", error.what());
        std::_Exit(1);  // whatever the others measure is worth nothing
      }
    });
  }
  Measurement measurement(options);
  while (!measurement.is_over(replies)) std::this_thread::sleep_for(Measurement::interval);
  for (std::jthread& thread : threads) thread.request_stop();
}

}  // namespace
}  // namespace tern::bench

int main(int argc, char** argv) {
  return tern::bench::client_main(argc, argv, "tern_blocking_client", tern::bench::run);
}
