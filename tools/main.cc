// The command `tern`: connects to WebSocket servers from a shell.
#include "connect/arguments.h"
#include "connect/run.h"
#include "descriptor.h"
#include "exit_code.h"

#include <csignal>
#include <exception>
#include <iostream>
#include <string_view>

namespace {

constexpr std::string_view usage_text =
    "usage: tern [connect] [OPTIONS] URL   talk to a WebSocket server\n"
    "       tern connect --help\n"
    "       tern --version\n";

// Threads that start later inherit it. The loop takes both signals.
void block_signals() {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a write reports it
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view word = argc > 1 ? argv[1] : "";
  if (word == "--version") return std::cout << "tern " TERN_VERSION "\n", command::done;
  if (word == "--help" || word == "-h" || word == "help") {
    return std::cout << usage_text, command::done;
  }
  if (word.empty()) return std::cerr << usage_text, command::usage;
  const int skipped = word == "connect" ? 1 : 0;
  command::fill_standard_descriptors();
  block_signals();
  try {
    command::Run run(command::parse_connect(argc - skipped, argv + skipped));
    return run.run();
  } catch (const std::exception& fault) {
    std::cerr << "tern: " << fault.what() << '\n';
    return command::other;
  }
}
