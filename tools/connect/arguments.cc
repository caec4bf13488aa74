// The flags of `tern connect`. Letters have curl's meaning where curl has them.
#include "connect/arguments.h"

#include "cli.h"
#include "connect/fill.h"
#include "connect/write_out.h"

namespace command {
namespace {

CLI::Option* add_seconds(CLI::App& app, const std::string& flag, Seconds& value,
                         const std::string& help) {
  const auto store = [&value, flag](const std::string& text) {
    double seconds = 0;
    const bool number = CLI::detail::lexical_cast(text, seconds);
    if (!number || !(seconds > 0 && seconds <= 1e9)) {
      throw CLI::ValidationError(flag, "needs a number of seconds above 0, not '" + text + "'");
    }
    value = std::chrono::ceil<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
  };
  return app.add_option_function<std::string>(flag, store, help)->type_name("SECONDS");
}

CLI::Option* add_text(CLI::App& app, const std::string& flag, std::string& value,
                      const std::string& type, const std::string& help) {
  return app.add_option(flag, value, help)->check(cli::not_empty())->type_name(type);
}

// Each flag takes one value, so that the URL may stand behind it.
CLI::Option* add_list(CLI::App& app, const std::string& flag, std::vector<std::string>& values,
                      const std::string& type, const std::string& help) {
  return app.add_option(flag, values, help)->allow_extra_args(false)->type_name(type);
}

void add_request(CLI::App& app, ConnectOptions& options, FlagValues& values) {
  app.option_defaults()->group("Request");
  add_list(app, "-H,--header", values.headers, "FIELD",
           "'Name: value' to add to the request, or @file with such lines; may be repeated");
  add_list(app, "-s,--subprotocol", options.dial.protocols, "NAME",
           "subprotocol to offer, the preferred one first; may be repeated");
  add_text(app, "--origin", values.origin, "ORIGIN", "the Origin field");
  app.add_option("-A,--user-agent", options.dial.user_agent, "the User-Agent field; empty: none")
      ->type_name("NAME");
  add_text(app, "-u,--user", values.user, "NAME:PASSWORD", "Basic credentials for the server");
  app.add_flag("-z,--compress", values.compress, "offer compression (permessage-deflate)");
  app.add_flag("-L,--location", values.follow, "follow redirects");
  app.add_option("--max-redirs", values.max_redirects, "number of redirects to follow (10)")
      ->check(CLI::Range(0, 100).description(""))
      ->needs("--location")
      ->type_name("N");
}

void add_tls(CLI::App& app, tern::TlsClient& tls) {
  app.option_defaults()->group("TLS");
  app.add_flag("-k,--insecure", tls.insecure_accept_any_certificate,
               "accept any certificate, even an impostor's");
  add_text(app, "--cacert", tls.ca_file, "FILE",
           "PEM file of certificates to trust instead of the system's");
  CLI::Option* certificate = add_text(app, "--cert", tls.certificate.certificate, "FILE",
                                      "PEM file of our own certificate");
  add_text(app, "--key", tls.certificate.private_key, "FILE",
           "PEM file of its key, if it is another file")
      ->needs(certificate);
  add_text(app, "--servername", tls.server_name, "NAME",
           "name to request and to expect, instead of the URL's host");
}

void add_way(CLI::App& app, ConnectOptions& options, FlagValues& values) {
  app.option_defaults()->group("Way to the server");
  CLI::Option* proxy =
      app.add_option("-x,--proxy", values.proxy,
                     "http, https, socks5 or socks5h URL of a proxy, instead of the "
                     "environment's; empty: none")
          ->type_name("URL");
  app.add_option("--noproxy", values.no_proxy,
                 "hosts to reach without a proxy, instead of the environment's no_proxy")
      ->type_name("LIST");
  add_text(app, "--proxy-user", values.proxy_user, "NAME:PASSWORD", "credentials for the proxy");
  add_text(app, "--proxy-cacert", values.proxy_ca, "FILE",
           "PEM file of certificates to trust in an https:// proxy");
  CLI::Option* socket = add_text(app, "--unix-socket", options.dial.unix_socket, "PATH",
                                 "Unix socket to connect to; '@' in front: an abstract name")
                            ->excludes(proxy);
  add_text(app, "--connect-to", options.dial.connect_to, "HOST:PORT",
           "where to connect instead of the URL's host and port")
      ->excludes(socket);
  CLI::Option* ipv4 = app.add_flag("-4,--ipv4", values.ipv4, "connect to IPv4 addresses only");
  app.add_flag("-6,--ipv6", values.ipv6, "connect to IPv6 addresses only")->excludes(ipv4);
}

void add_times(CLI::App& app, ConnectOptions& options, FlagValues& values) {
  app.option_defaults()->group("Times, in decimal seconds");
  add_seconds(app, "-m,--max-time", options.max_time, "end after this time, with code 28");
  add_seconds(app, "--connect-timeout", values.connect_timeout,
              "time for one attempt to connect, up to the server's 101 (30)");
  add_seconds(app, "--idle", options.idle,
              "end after this time without a received message, with code 28");
  add_seconds(app, "--ping", options.ping, "send a ping at this interval");
  add_seconds(app, "--pong-timeout", values.pong_timeout,
              "end if a ping gets no answer for this time (20)");
  CLI::Option* retry =
      app.add_flag("--retry", values.retries,
                   "connect again when the connection fails or ends; --retry=N: at most N times "
                   "in a row");
  add_seconds(app, "--retry-max", options.retry_max, "longest wait between two attempts (60)")
      ->needs(retry);
}

void add_messages(CLI::App& app, FlagValues& values) {
  app.option_defaults()->group("Messages");
  add_list(app, "-e,--send", values.messages, "TEXT",
           "message to send when a connection opens, before stdin; may be repeated; sent again "
           "after each reconnect");
  CLI::Option* binary = app.add_flag("-B,--binary", values.binary, "send binary messages");
  CLI::Option* hex = app.add_flag("--hex", values.hex,
                                  "messages are hexadecimal digits, on stdin and stdout; they "
                                  "are sent as binary")
                         ->excludes(binary);
  app.add_flag("--base64", values.base64, "the same with base64")->excludes(binary)->excludes(hex);
  app.add_flag("-0,--null", values.null,
               "a NUL byte ends each message instead of a newline, on stdin and stdout");
  app.add_option("--max-message", values.max_message,
                 "most bytes of one message, sent or received (67108864)")
      ->check(cli::positive())
      ->type_name("BYTES");
}

void add_end(CLI::App& app, ConnectOptions& options, FlagValues& values) {
  app.option_defaults()->group("End");
  CLI::Option* one = app.add_flag(
      "-1,--one", values.one, "close when stdin has been sent and one message has been received");
  CLI::Option* count = app.add_option("-N,--count", options.count, "the same with N messages")
                           ->check(cli::positive())
                           ->excludes(one)
                           ->type_name("N");
  CLI::Option* wait =
      add_seconds(app, "-w,--wait", values.wait,
                  "when stdin has been sent, close after this time without a message");
  CLI::Option* no_close = app.add_flag("--no-close", values.no_close,
                                       "when stdin has been sent, wait for the server to close")
                              ->excludes(wait);
  app.add_flag("-E,--exit-on-eof", values.exit_on_eof,
               "when stdin has been sent, close and print nothing more")
      ->excludes(one)
      ->excludes(count)
      ->excludes(wait)
      ->excludes(no_close);
  app.add_option("--close", values.close, "code and reason of our Close frame (1000)")
      ->type_name("CODE[:REASON]");
}

void add_output(CLI::App& app, ConnectOptions& options) {
  app.option_defaults()->group("Output");
  add_text(app, "-o,--output", options.output_file, "FILE",
           "write there instead of to stdout; -: stdout");
  app.add_flag("--json", options.json,
               "write a line of JSON for each event (open, message, ping, pong, close, error, "
               "attempt) instead of the payloads");
  app.add_flag("-P,--show-control", options.show_control, "report pings and pongs");
  app.add_flag("--timestamps", options.timestamps, "write the time (UTC) before each message");
  CLI::Option* verbose =
      app.add_flag("-v,--verbose", options.verbose, "report the handshake and each step on stderr");
  app.add_flag("-q,--quiet", options.quiet, "report nothing on stderr")->excludes(verbose);
  add_text(app, "-W,--write-out", options.write_out, "FORMAT",
           "text to write to stderr at the end, with " + write_out_variables());
}

}  // namespace

ConnectOptions parse_connect(int argc, char** argv) {
  ConnectOptions options;
  FlagValues values;
  options.dial.user_agent = "tern/" TERN_VERSION;
  CLI::App app(
      "Connects to a WebSocket server. Lines of stdin are sent as messages; received messages are "
      "written to stdout, and all else to stderr.",
      "tern connect");
  app.get_formatter()->column_width(36);
  app.set_help_flag("-h,--help", "print this text and exit");
  app.add_option("URL", values.url, "ws://host:port/path, wss://…, ws+unix://path:/target")
      ->check(cli::not_empty())
      ->required()
      ->type_name("");
  add_request(app, options, values);
  add_tls(app, options.dial.tls);
  add_way(app, options, values);
  add_times(app, options, values);
  add_messages(app, values);
  add_end(app, options, values);
  add_output(app, options);
  app.allow_extras();
  app.callback([&] {
    refuse_extras(app.remaining(), values);
    fill(options, values);
  });
  cli::parse(app, argc, argv);
  return options;
}

}  // namespace command
