// A peer for tests of servers. It connects and echoes every message with its type until the
// connection is closed. The exit code is 0 if the connection ended with both Close frames.

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
  CLI::App app("Connects to a WebSocket server and echoes its messages until the server closes.",
               "echo_back");
  app.option_defaults()->always_capture_default();
  app.add_option("--max-message", limits.max_message_bytes,
                 "bytes of a message; a longer one ends the connection with 1009")
      ->check(cli::positive());
  app.add_option("--max-fragments", limits.max_fragments,
                 "frames of a message; more end the connection with 1008")
      ->check(cli::positive());
  bool deflate = false;
  app.add_flag("--deflate", deflate, "offer compression (permessage-deflate)");
  std::optional<std::size_t> min_bytes;
  app.add_option("--deflate-min-bytes", min_bytes,
                 "with --deflate: shorter messages are sent as they are")
      ->check(cli::not_negative())
      ->default_str("0 with takeover, else 1024");
  app.add_option("URL", url, "ws://host:port/path or wss://host:port/path")
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
    // If sending fails, receive() returns the reason.
    (void)client.send(tern::Message(*received, payload));
    received = client.receive(payload);
  }
  if (client.close()) return 0;
  std::cerr << received.error().message() << '\n';
  return 1;
}
