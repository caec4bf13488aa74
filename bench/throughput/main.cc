// tern-bench measures echo servers. `compare` runs the whole comparison. Most other commands are
// parts of it. `clients` compares clients, `fairness` measures a server under attack, and `fanout`
// measures messages to many subscribers, `pages` pages of HTTP.

#include "throughput/bridge.h"
#include "throughput/ceiling.h"
#include "throughput/clients.h"
#include "throughput/compare.h"
#include "throughput/fairness.h"
#include "throughput/fanout.h"
#include "throughput/idle.h"
#include "throughput/load_report.h"
#include "throughput/pages.h"
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

// The command of the command line.
using Command = std::function<int()>;

const CLI::Range positive(std::size_t{1}, std::size_t{1} << 30, "");

void add_seconds(CLI::App& app, tern::bench::Seconds& value, const std::string& help) {
  app.add_option_function<double>(
         "--seconds", [&value](double seconds) { value = tern::bench::Seconds(seconds); }, help)
      ->check(CLI::Range(0.01, 86'400.0, ""))
      ->default_str(CLI::detail::to_string(value.count()));
}

void add_server(CLI::App& app, pid_t& server) {
  app.add_option("--server-pid", server, "process of the server, to measure its CPU time or memory")
      ->check(positive);
}

void add_ceiling(CLI::App& app, CeilingOptions& options, Command& command) {
  CLI::App* sub = app.add_subcommand("ceiling", "serve the raw epoll echo until SIGTERM");
  sub->add_option("--port", options.port, "port to listen on; 0: the system chooses one");
  CLI::Option* size =
      sub->add_option("--message-size", options.message_size,
                      "bytes of every message; 0: the size of each connection's first one");
  CLI::Option* bare = sub->add_flag("--bare", options.bare,
                                    "serve the smallest WebSocket echo instead; it echoes content")
                          ->excludes(size);
  sub->add_flag("--fanout", options.fanout,
                "serve the smallest fan-out instead: the messages of a connection go to all others")
      ->excludes(size)
      ->excludes(bare);
  const auto spin = [&options](std::int64_t) { options.waiting = Waiting::spinning; };
  CLI::Option* spins = sub->add_flag_function("--spin", spin, "never sleep");
  const auto spin_on_socket = [&options](std::int64_t) { options.waiting = Waiting::on_socket; };
  sub->add_flag_function("--spin-on-socket", spin_on_socket,
                         "poll one connection without epoll until it ends")
      ->excludes(spins);
  sub->callback([&] { command = [&] { return run_ceiling(options); }; });
}

void add_load(CLI::App& app, LoadOptions& options, bool& json, Command& command) {
  CLI::App* sub = app.add_subcommand("load", "load one server with echoes");
  sub->add_option("url", options.url, "ws://host:port/path or wss://host:port/path")->required();
  sub->add_option("--connections", options.connections, "number of connections")->check(positive);
  sub->add_option("--size", options.size, "bytes of a message")->check(positive);
  sub->add_option("--depth", options.depth, "messages in flight on each connection")
      ->check(positive);
  add_seconds(*sub, options.duration, "seconds to measure, after a warm-up");
  const auto set_text = [&options](const std::string& text) {
    options.kind = text == "mixed"  ? PayloadKind::mixed
                   : text == "json" ? PayloadKind::json
                                    : PayloadKind::ascii;
  };
  CLI::Option* text = sub->add_option_function<std::string>(
                             "--text", set_text, "send text: ascii, mixed scripts or json")
                          ->check(CLI::IsMember({"ascii", "mixed", "json"}));
  const auto set_binary = [&options](std::int64_t) { options.kind = PayloadKind::binary; };
  sub->add_flag_function("--binary", set_binary, "send binary messages (the default)")
      ->excludes(text);
  sub->add_flag("--deflate", options.deflate, "compress the messages, without context takeover");
  sub->add_flag("!--no-content", options.check_content,
                "do not compare contents, because the ceiling does not echo them");
  sub->add_flag("--latency", options.latency,
                "print percentiles of the time from a message's first byte sent to its reply read");
  add_server(*sub, options.server);
  sub->add_flag("--json", json);
  sub->callback([&] { command = [&] { return print_load(options, json); }; });
}

void add_idle(CLI::App& app, IdleOptions& options, bool& json, Command& command) {
  CLI::App* sub =
      app.add_subcommand("idle", "measure the server's memory for each idle connection");
  sub->add_option("url", options.url, "ws://host:port/path or wss://host:port/path")->required();
  sub->add_option("--connections", options.connections, "connections after the base")
      ->check(positive);
  sub->add_option("--base", options.base, "connections that are opened first and do not count")
      ->check(positive);
  sub->add_option("--size", options.size, "bytes of the one message on each connection")
      ->check(positive);
  add_server(*sub, options.server);
  sub->get_option("--server-pid")->required();
  sub->add_flag("--json", json);
  sub->callback([&] { command = [&] { return print_idle(options, json); }; });
}

void add_upgrades(CLI::App& app, UpgradesOptions& options, bool& json, Command& command) {
  CLI::App* sub = app.add_subcommand("upgrades", "connect, upgrade and close, over and over");
  sub->add_option("url", options.url, "ws://host:port/path or wss://host:port/path")->required();
  sub->add_option("--in-flight", options.in_flight, "upgrades at the same time")->check(positive);
  add_seconds(*sub, options.duration, "seconds to measure, after a warm-up");
  add_server(*sub, options.server);
  sub->add_flag("--json", json);
  sub->callback([&] { command = [&] { return print_upgrades(options, json); }; });
}

void add_comparison(CLI::App& app, CompareOptions& options,
                    const std::string& program = "echo_server") {
  app.add_option("--repetitions", options.repetitions)->check(positive);
  add_seconds(app, options.duration, "seconds of each visit to a server");
  app.add_option(
      "--server", options.servers,
      "path of " + program + "; name several to compare builds; default: beside this program");
  app.add_option("--only", options.only, "only rows whose name contains this");
  app.add_flag("--realtime", options.realtime,
               "use real-time priority, for machines with other work");
  app.add_flag("--json", options.json, "print one JSON object per line");
}

void add_compare(CLI::App& app, CompareOptions& options, Command& command) {
  CLI::App* sub =
      app.add_subcommand("compare", "compare echo_server with the ceiling and every rival");
  add_comparison(*sub, options);
  sub->add_flag("!--no-rivals", options.rivals, "compare echo_server only with the ceiling");
  sub->add_option("--chart", options.chart,
                  "write an SVG of the ratios to the ceiling to this file");
  sub->add_flag("--control", options.control, "visit the ceiling a second time, to show the noise");
  sub->callback([&] { command = [&] { return run_compare(options); }; });
}

void add_clients(CLI::App& app, CompareOptions& options, Command& command) {
  CLI::App* sub = app.add_subcommand("clients", "compare tern's clients with every rival's");
  sub->add_option("--repetitions", options.repetitions)->check(positive);
  add_seconds(*sub, options.duration,
              "seconds of each visit, after a warm-up of 0.2 s (lws and ws: 1 s)");
  sub->add_option("--only", options.only, "only workloads whose name contains this");
  sub->add_flag("--realtime", options.realtime,
                "use real-time priority, for machines with other work");
  sub->add_flag("--json", options.json, "print one JSON object per line");
  sub->callback([&] { command = [&] { return run_clients(options); }; });
}

void add_scaling(CLI::App& app, CompareOptions& options, Command& command) {
  CLI::App* sub = app.add_subcommand(
      "scaling", "measure echo_server with 1 to 10000 connections, and with 1 and 2 loops");
  add_comparison(*sub, options);
  sub->callback([&] { command = [&] { return run_scaling(options); }; });
}

void add_fairness(CLI::App& app, CompareOptions& options, Command& command) {
  CLI::App* sub = app.add_subcommand(
      "fairness", "measure the latency of a bystander and the server's memory under attacks");
  add_seconds(*sub, options.duration, "seconds of each row");
  sub->add_option(
      "--server", options.servers,
      "path of echo_server; name several to compare builds; default: beside this program");
  sub->add_option("--only", options.only, "only attacks whose name contains this");
  sub->add_flag("!--no-rivals", options.rivals, "leave out uWebSockets");
  sub->add_flag(
      "--first", options.first,
      "give server and bystander the highest priority of nice, for machines with other work");
  sub->add_flag("--json", options.json, "print one JSON object per line");
  sub->callback([&] { command = [&] { return run_fairness(options); }; });
}

void add_fanout(CLI::App& app, CompareOptions& options, Command& command) {
  CLI::App* sub =
      app.add_subcommand("fanout", "measure the cost of a message to 1000 and to 8000 subscribers");
  add_comparison(*sub, options, "tern_fanout");
  sub->add_flag("!--no-rivals", options.rivals, "leave out uWebSockets");
  sub->add_flag("--control", options.control,
                "visit the server of send() a second time, to show the noise");
  sub->callback([&] { command = [&] { return run_fanout(options); }; });
}

void add_pages(CLI::App& app, CompareOptions& options, Command& command) {
  CLI::App* sub = app.add_subcommand("pages", "compare pages of HTTP with files of nginx, by wrk");
  sub->add_option("--repetitions", options.repetitions)->check(positive);
  add_seconds(*sub, options.duration, "seconds of each visit to a server, at least 1");
  sub->add_option("--server", options.servers, "path of tern_pages; default: beside this program");
  sub->add_option("--only", options.only, "only rows whose name contains this");
  sub->add_flag("--json", options.json, "print one JSON object per line");
  sub->callback([&] { command = [&] { return run_pages(options); }; });
}

void add_bridge(CLI::App& app, CompareOptions& options, Command& command) {
  CLI::App* sub = app.add_subcommand(
      "bridge", "measure topics that several processes share, by NATS and by Redis");
  add_seconds(*sub, options.duration, "seconds of each row");
  sub->add_option("--server", options.servers, "path of tern_bridge; default: beside this program");
  sub->add_option("--only", options.only,
                  "only rows whose name, after the broker's, contains this");
  sub->add_flag("--realtime", options.realtime,
                "use real-time priority, for machines with other work");
  sub->add_flag("--json", options.json, "print one JSON object per line");
  sub->callback([&] { command = [&] { return run_bridge(options); }; });
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
  CompareOptions fanout;
  CompareOptions bridge{.duration = tern::bench::Seconds(2)};
  CompareOptions pages{.duration = tern::bench::Seconds(2)};
  bool json = false;
  Command command;

  CLI::App app("Measures WebSocket echo servers and clients.", "tern-bench");
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
  add_fanout(app, fanout, command);
  add_bridge(app, bridge, command);
  add_pages(app, pages, command);
  CLI11_PARSE(app, argc, argv);

  try {
    tern::bench::raise_descriptor_limit();
    return command();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tern-bench: %s\n", error.what());
    return 1;
  }
}
