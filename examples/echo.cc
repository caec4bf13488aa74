// A WebSocket echo server in ten lines: it sends each text or binary message back.
#include "tern/tern.h"

#include <csignal>
#include <iostream>

int main() {
  tern::Server server({.port = 9001, .stop_on = {SIGINT, SIGTERM}});
  server.route("/echo",
               tern::Handlers{
                   .on_message = [](tern::Connection& conn, tern::Message msg) { conn.send(msg); },
               });
  if (auto ran = server.run(); !ran) {           // listens and serves until a signal stops it
    std::cerr << ran.error().message() << '\n';  // "listen 0.0.0.0:9001: Address already in use"
    return 1;
  }
}
