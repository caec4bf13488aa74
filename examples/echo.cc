// The WebSocket echo in ten lines: what a text or binary message holds goes back as it came.
#include "tern/tern.h"

#include <csignal>
#include <iostream>

int main() {
  tern::Server server({.port = 9001, .stop_on = {SIGINT, SIGTERM}});
  server.route("/echo",
               tern::Handlers{
                   .on_message = [](tern::Connection& conn, tern::Message msg) { conn.send(msg); },
               });
  if (auto ran = server.run(); !ran) {           // listens, serves until stopped
    std::cerr << ran.error().message() << '\n';  // "listen 0.0.0.0:9001: Address already in use"
    return 1;
  }
}
