// Connects, echoes every message with its type until the connection is closed, and says by its exit
// code whether that was clean: a peer for tests of servers.

#include "tern/dial.h"

#include "cli.h"

#include <algorithm>
#include <iostream>
#include <optional>
#include <string>

int main(int argc, char** argv) {
  std::string url;
  tern::DialOptions options;
  tern::Limits& limits = options.limits;
  CLI::App app("Echoes what a WebSocket server sends, until it closes.", "echo_back");
  app.option_defaults()->always_capture_default();
  app.add_option("--max-message", limits.max_message_bytes, "bytes; beyond: close 1009")
      ->check(cli::positive());
  app.add_option("--max-fragments", limits.max_fragments,
                 "frames of one message; beyond: close 1008")
      ->check(cli::positive());
  bool deflate = false;
  app.add_flag("--deflate", deflate, "offer compression (permessage-deflate)");
  std::optional<std::size_t> min_bytes;
  app.add_option("--deflate-min-bytes", min_bytes,
                 "with --deflate: messages of fewer bytes are sent as they are")
      ->check(cli::not_negative())
      ->default_str("0 with takeover, else 1024");
  app.add_option("URL", url, "as ws://host:port/path, or wss://")
      ->check(cli::not_empty())
      ->required();
  cli::add_trust(app, options.tls);
  cli::parse(app, argc, argv);
  limits.max_queued_bytes = std::max(limits.max_queued_bytes, limits.max_message_bytes);

  if (deflate) {
    options.deflate =
        tern::Deflate{.takeover = true, .peer_takeover = true, .min_bytes = min_bytes};
  }
  auto dialed = tern::dial(url, options);
  if (!dialed) return std::cerr << dialed.error().message() << '\n', 1;
  tern::BlockingClient& client = *dialed;
  std::string payload;
  auto received = client.receive(payload);
  while (received) {
    // When sending fails, receive() knows why.
    (void)client.send(tern::Message(*received, payload));
    received = client.receive(payload);
  }
  if (client.close()) return 0;
  std::cerr << received.error().message() << '\n';
  return 1;
}
