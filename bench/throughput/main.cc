// tern-bench: measures echo servers. `compare` does it all; the other commands are its parts, and
// `clients` does the same for the other end.

#include "throughput/ceiling.h"
#include "throughput/clients.h"
#include "throughput/compare.h"
#include "throughput/fairness.h"
#include "throughput/idle.h"
#include "throughput/load_report.h"
#include "throughput/scaling.h"
#include "throughput/upgrades.h"

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>

namespace {

using tern::bench::CeilingOptions;
using tern::bench::CompareOptions;
using tern::bench::IdleOptions;
using tern::bench::LoadOptions;
using tern::bench::PayloadKind;
using tern::bench::UpgradesOptions;
using tern::bench::Waiting;

// What the command line asked for.
using Command = std::function<int()>;

const CLI::Range positive(std::size_t{1}, std::size_t{1} << 30, "");

void add_seconds(CLI::App& app, tern::bench::Seconds& value, const std::string& help) {
  app.add_option_function<double>(
         "--seconds", [&value](double seconds) { value = tern::bench::Seconds(seconds); }, help)
      ->check(CLI::Range(0.01, 86'400.0, ""))
      ->default_str(CLI::detail::to_string(value.count()));
}

void add_server(CLI::App& app, pid_t& server) {
  app.add_option("--server-pid", server, "the server's process, to measure its CPU time or memory")
      ->check(positive);
}

void add_ceiling(CLI::App& app, CeilingOptions& options, Command& command) {
  CLI::App* sub = app.add_subcommand("ceiling", "serve the raw epoll echo until SIGTERM");
  sub->add_option("--port", options.port, "0: the system chooses");
  CLI::Option* size = sub->add_option("--message-size", options.message_size,
                                      "bytes of every message; 0: as the first of each connection");
  sub->add_flag("--bare", options.bare,
                "the least that is a WebSocket echo instead: of the content")
      ->excludes(size);
  const auto spin = [&options](std::int64_t) { options.waiting = Waiting::spinning; };
  CLI::Option* spins = sub->add_flag_function("--spin", spin, "never sleep");
  const auto spin_on_socket = [&options](std::int64_t) { options.waiting = Waiting::on_socket; };
  sub->add_flag_function("--spin-on-socket", spin_on_socket,
                         "poll one connection alone, without epoll, until it ends")
      ->excludes(spins);
  sub->callback([&] { command = [&] { return run_ceiling(options); }; });
}

void add_load(CLI::App& app, LoadOptions& options, bool& json, Command& command) {
  CLI::App* sub = app.add_subcommand("load", "echo load on one server");
  sub->add_option("url", options.url, "ws://host:port/path or wss://")->required();
  sub->add_option("--connections", options.connections)->check(positive);
  sub->add_option("--size", options.size, "bytes of a message")->check(positive);
  sub->add_option("--depth", options.depth, "messages in flight on each connection")
      ->check(positive);
  add_seconds(*sub, options.duration, "how long to measure, after a warm-up");
  const auto set_text = [&options](const std::string& text) {
    options.kind = text == "mixed"  ? PayloadKind::mixed
                   : text == "json" ? PayloadKind::json
                                    : PayloadKind::ascii;
  };
  CLI::Option* text = sub->add_option_function<std::string>("--text", set_text,
                                                            "text: ascii, mixed scripts or json")
                          ->check(CLI::IsMember({"ascii", "mixed", "json"}));
  const auto set_binary = [&options](std::int64_t) { options.kind = PayloadKind::binary; };
  sub->add_flag_function("--binary", set_binary, "binary, the default")->excludes(text);
  sub->add_flag("--deflate", options.deflate, "compress the messages, without context takeover");
  sub->add_flag("!--no-content", options.check_content,
                "do not compare contents: the ceiling does not echo them");
  sub->add_flag("--latency", options.latency,
                "percentiles, from a message's first byte sent to its reply read");
  add_server(*sub, options.server);
  sub->add_flag("--json", json);
  sub->callback([&] { command = [&] { return print_load(options, json); }; });
}

void add_idle(CLI::App& app, IdleOptions& options, bool& json, Command& command) {
  CLI::App* sub = app.add_subcommand("idle", "the server's memory for each idle connection");
  sub->add_option("url", options.url, "ws://host:port/path or wss://")->required();
  sub->add_option("--connections", options.connections, "beyond the base")->check(positive);
  sub->add_option("--base", options.base, "connections before those that count")->check(positive);
  sub->add_option("--size", options.size, "bytes of the one message on each")->check(positive);
  add_server(*sub, options.server);
  sub->get_option("--server-pid")->required();
  sub->add_flag("--json", json);
  sub->callback([&] { command = [&] { return print_idle(options, json); }; });
}

void add_upgrades(CLI::App& app, UpgradesOptions& options, bool& json, Command& command) {
  CLI::App* sub = app.add_subcommand("upgrades", "connect, upgrade, close, over and over");
  sub->add_option("url", options.url, "ws://host:port/path or wss://")->required();
  sub->add_option("--in-flight", options.in_flight)->check(positive);
  add_seconds(*sub, options.duration, "how long to measure, after a warm-up");
  add_server(*sub, options.server);
  sub->add_flag("--json", json);
  sub->callback([&] { command = [&] { return print_upgrades(options, json); }; });
}

void add_comparison(CLI::App& app, CompareOptions& options) {
  app.add_option("--repetitions", options.repetitions)->check(positive);
  add_seconds(app, options.duration, "of each visit to a server");
  app.add_option("--server", options.servers,
                 "path of echo_server, several to compare builds; default: beside this program");
  app.add_option("--only", options.only, "rows whose name contains this");
  app.add_flag("--realtime", options.realtime, "real-time priority, for machines with other work");
  app.add_flag("--json", options.json, "one object a line");
}

void add_compare(CLI::App& app, CompareOptions& options, Command& command) {
  CLI::App* sub = app.add_subcommand("compare", "echo_server beside the ceiling and every rival");
  add_comparison(*sub, options);
  sub->add_flag("!--no-rivals", options.rivals, "echo_server beside the ceiling, nobody else");
  sub->add_option("--chart", options.chart, "an SVG of the ratios to the ceiling, to this file");
  sub->add_flag("--control", options.control, "the ceiling a second time, to show the noise");
  sub->callback([&] { command = [&] { return run_compare(options); }; });
}

void add_clients(CLI::App& app, CompareOptions& options, Command& command) {
  CLI::App* sub = app.add_subcommand("clients", "tern's clients beside every rival's");
  sub->add_option("--repetitions", options.repetitions)->check(positive);
  add_seconds(*sub, options.duration, "of each visit, after a warm-up of 0.2 s (lws and ws: 1 s)");
  sub->add_option("--only", options.only, "workloads whose name contains this");
  sub->add_flag("--realtime", options.realtime, "real-time priority, for machines with other work");
  sub->add_flag("--json", options.json, "one object a line");
  sub->callback([&] { command = [&] { return run_clients(options); }; });
}

void add_scaling(CLI::App& app, CompareOptions& options, Command& command) {
  CLI::App* sub = app.add_subcommand(
      "scaling", "echo_server with 1 to 10000 connections, and with 1 and 2 loops");
  add_comparison(*sub, options);
  sub->callback([&] { command = [&] { return run_scaling(options); }; });
}

void add_fairness(CLI::App& app, CompareOptions& options, Command& command) {
  CLI::App* sub = app.add_subcommand(
      "fairness", "what a bystander waits, and the server's memory, under traffic that attacks");
  add_seconds(*sub, options.duration, "of each row");
  sub->add_option("--server", options.servers,
                  "path of echo_server, several to compare builds; default: beside this program");
  sub->add_option("--only", options.only, "attacks whose name contains this");
  sub->add_flag("!--no-rivals", options.rivals, "without uWebSockets, also if it is here");
  sub->add_flag("--first", options.first,
                "server and bystander at the highest nice value, for machines with other work");
  sub->add_flag("--json", options.json, "one object a line");
  sub->callback([&] { command = [&] { return run_fairness(options); }; });
}

}  // namespace

int main(int argc, char** argv) {
  CeilingOptions ceiling;
  LoadOptions load;
  IdleOptions idle;
  UpgradesOptions upgrades;
  CompareOptions compare;
  CompareOptions clients;
  CompareOptions scaling;
  CompareOptions fairness{.duration = tern::bench::Seconds(3)};
  bool json = false;
  Command command;

  CLI::App app("Measures WebSocket echo servers, and clients.", "tern-bench");
  app.option_defaults()->always_capture_default();
  app.require_subcommand(1);
  add_ceiling(app, ceiling, command);
  add_load(app, load, json, command);
  add_idle(app, idle, json, command);
  add_upgrades(app, upgrades, json, command);
  add_compare(app, compare, command);
  add_clients(app, clients, command);
  add_scaling(app, scaling, command);
  add_fairness(app, fairness, command);
  CLI11_PARSE(app, argc, argv);

  try {
    tern::bench::raise_descriptor_limit();
    return command();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tern-bench: %s\n", error.what());
    return 1;
  }
}
