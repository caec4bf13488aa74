// scale_model prints how many machines carry many connections, and simulates what happens to them.
// docs/guides/a-million-connections.md explains the tables.

#include "scale_model/report.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

int main(int argc, char** argv) {
  tern::bench::Machine machine;
  tern::bench::Figures figures;
  double connections = 1'000'000;
  double memory_gib = 32;
  bool only_figures = false;

  CLI::App app("Plans the machines for many connections.", "scale_model");
  app.option_defaults()->always_capture_default();
  app.add_option("--connections", connections)->check(CLI::Range(1'000.0, 10'000'000.0, ""));
  app.add_option("--cores", machine.cores, "of a machine")->check(CLI::Range(1.0, 1'024.0, ""));
  app.add_option("--memory", memory_gib, "GiB of a machine")->check(CLI::Range(1.0, 65'536.0, ""));
  app.add_option("--busy", machine.busy, "share of the cores that may work")
      ->check(CLI::Range(0.05, 0.95, ""));
  app.add_option("--most-connections", machine.most_connections, "of a machine")
      ->check(CLI::PositiveNumber);
  app.add_option("--back-within", machine.back_within, "seconds in which all clients can come back")
      ->check(CLI::PositiveNumber);
  app.add_option("--unfinished", machine.unfinished, "ServerOptions::max_unfinished_handshakes")
      ->check(CLI::PositiveNumber);
  app.add_option("--round-trip", machine.round_trip, "seconds")->check(CLI::PositiveNumber);
  app.add_option("--bridge-in", figures.bridge_in_us, "us of CPU");
  app.add_option("--bridge-out", figures.bridge_out_us, "us of CPU");
  app.add_option("--delivery", figures.delivery_us, "us of CPU");
  app.add_option("--delivery-tls", figures.delivery_tls_us, "us of CPU");
  app.add_option("--upgrade-tls", figures.upgrade_tls_us, "us of CPU");
  app.add_flag("--figures", only_figures, "print the table of docs/performance.md instead");
  CLI11_PARSE(app, argc, argv);

  try {
    machine.memory_bytes = memory_gib * (1 << 30);
    std::fputs(only_figures ? tern::bench::figures_table(figures).c_str()
                            : tern::bench::report(figures, machine, connections).c_str(),
               stdout);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "scale_model: %s\n", error.what());
    return 1;
  }
}
