// Each round visits the servers in turn with one wrk on 100 connections that stay open. A server
// has one worker. Other work on the machine takes time from a server, but not from its CPU time, so
// the ratio is that of requests for each second of CPU. The middle of all rounds counts.
#include "throughput/pages.h"

#include "net/address.h"
#include "net/fd.h"
#include "net/socket.h"
#include "throughput/server_process.h"
#include "throughput/system.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <optional>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <system_error>
#include <vector>

namespace tern::bench {
namespace {

namespace fs = std::filesystem;

constexpr const char* nginx_program = "/usr/sbin/nginx";
constexpr const char* wrk_program = "/usr/bin/wrk";

struct Row {
  const char* name;
  const char* tern_path;
  const char* nginx_path;
  bool is_file;  // otherwise the server has the page in memory; nginx sends the file
};
constexpr Row rows[] = {{"page of 1 KiB", "/1k", "/1k", false},
                        {"page of 64 KiB", "/64k", "/64k", false},
                        {"file of 1 KiB", "/files/1k", "/1k", true},
                        {"file of 64 KiB", "/files/64k", "/64k", true}};

// A directory with the files of nginx, removed at the end.
class Folder {
 public:
  Folder() {
    std::string name = fs::temp_directory_path() / "tern-pages-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw_errno("mkdtemp");
    path_ = name;
    fs::permissions(path_, fs::perms::owner_all | fs::perms::others_read | fs::perms::others_exec);
    write("1k", std::string(std::size_t{1} << 10, 'p'));
    write("64k", std::string(std::size_t{64} << 10, 'p'));
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
  }
  std::string path(const std::string& name = {}) const {
    return name.empty() ? path_.string() : (path_ / name).string();
  }

 private:
  fs::path path_{};
};

std::uint16_t free_port() {
  const net::Opened socket =
      net::listen_tcp(*net::Address::parse("127.0.0.1", 0), net::PortUse::first);
  if (!socket) throw std::system_error(socket.error, "listen");
  return net::local_address(socket.fd.get()).port();
}

// One process, without a log, that sends files by sendfile and keeps them open.
std::string nginx_configuration(const Folder& folder, std::uint16_t port) {
  std::string text = "daemon off; master_process off; error_log stderr crit;\npid " +
                     folder.path("pid") + ";\nevents { worker_connections 1024; }\nhttp {\n" +
                     "access_log off; sendfile on; tcp_nopush on; open_file_cache max=16;\n" +
                     "keepalive_requests 1000000000; default_type text/html;\n";
  for (const char* const kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"}) {
    text += std::string(kind) + "_temp_path " + folder.path(kind) + ";\n";
  }
  return text + "server { listen 127.0.0.1:" + std::to_string(port) + "; root " + folder.path() +
         "; }\n}\n";
}

// Waits until a server accepts on this port.
void await_port(std::uint16_t port) {
  constexpr int tries = 500;
  constexpr int pause_ms = 10;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 0; i < tries; ++i) {
    const net::Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
      return;
    ::poll(nullptr, 0, pause_ms);
  }
  throw std::runtime_error(std::string(nginx_program) + " does not listen");
}

struct Visit {
  double requests = 0;
  double seconds = 0;
  double cpu = 0;
  double per_cpu_second() const { return requests / cpu; }
};

// "  12345 requests in 5.00s, 1.2MB read" of wrk.
Visit visit(const std::string& url, pid_t server, Seconds duration) {
  const auto seconds = std::to_string(std::max(1, static_cast<int>(duration.count())));
  const auto before = settled_cpu_time(server);
  Visit result;
  Child wrk({wrk_program, "-t1", "-c100", "-d" + seconds + "s", url}, any_core, false);
  while (const auto line = wrk.line()) {
    unsigned long long requests = 0;
    double taken = 0;
    if (line->find("Non-2xx") != line->npos || line->find("Socket errors") != line->npos) {
      throw std::runtime_error(url + ":" + *line);
    }
    if (std::sscanf(line->c_str(), " %llu requests in %lfs", &requests, &taken) == 2) {
      result.requests = static_cast<double>(requests);
      result.seconds = taken;
    }
  }
  if (result.requests == 0) throw std::runtime_error(url + ": no answer, or no " + wrk_program);
  result.cpu = Seconds(settled_cpu_time(server) - before).count();
  return result;
}

// From the URL of an echo server, "ws://127.0.0.1:9001/echo".
std::string page_url(const std::string& echo, const Row& row) {
  const std::size_t slash = echo.find('/', std::string_view("ws://").size());
  return "http" + echo.substr(2, slash - 2) + row.nginx_path;
}

double middle(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// The middle of the requests for each second of CPU, and of the ratios of ours to theirs.
struct Comparison {
  double rate = 0;
  double ratio = 0;
  double low = 0;
  double high = 0;
};

Comparison compare(const std::vector<Visit>& ours, const std::vector<Visit>& theirs) {
  std::vector<double> rates;
  std::vector<double> ratios;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    rates.push_back(theirs[i].per_cpu_second());
    ratios.push_back(ours[i].per_cpu_second() / rates.back());
  }
  const auto [low, high] = std::ranges::minmax(ratios);
  return {middle(rates), middle(ratios), low, high};
}

void print(const CompareOptions& options, const Row& row, const char* rival,
           const std::vector<Visit>& ours, const std::vector<Visit>& theirs) {
  const double rate = compare(ours, ours).rate;
  const Comparison beside = compare(ours, theirs);
  if (options.json) {
    std::printf(R"({"row":"%s","rival":"%s","tern_per_cpu_second":%.0f,)"
                R"("rival_per_cpu_second":%.0f,"ratio":%.3f,"ratio_low":%.3f,"ratio_high":%.3f})"
                "\n",
                row.name, rival, rate, beside.rate, beside.ratio, beside.low, beside.high);
  } else {
    std::printf("%-16s %10.0f   %-12s %10.0f   %.2f (%.2f to %.2f)\n", row.name, rate, rival,
                beside.rate, beside.ratio, beside.low, beside.high);
  }
  std::fflush(stdout);
}

}  // namespace

int run_pages(const CompareOptions& options) {
  const Folder folder;
  const std::uint16_t port = free_port();
  folder.write("nginx.conf", nginx_configuration(folder, port));
  const std::string program =
      options.servers.empty() ? beside_this_program("tern_pages") : options.servers.front();
  const ServerProcess tern({program, folder.path()}, any_core, options.realtime);
  const Child nginx({nginx_program, "-p", folder.path(), "-c", folder.path("nginx.conf")}, any_core,
                    options.realtime);
  await_port(port);
  const std::string nginx_url = "http://127.0.0.1:" + std::to_string(port);
  // It exists if a checkout was named when the peers were built.
  const std::string other_program = beside_this_program("uwebsockets_echo");
  std::optional<ServerProcess> other;
  if (fs::exists(other_program))
    other.emplace(std::vector<std::string>{other_program}, any_core, options.realtime);
  if (!options.json) {
    std::puts("requests for each second of CPU, on 100 connections that stay open");
    std::puts("                       tern   beside                    ratio");
  }
  for (const Row& row : rows) {
    if (!is_wanted(row.name, options)) continue;
    const bool with_other = other && !row.is_file;
    std::vector<Visit> ours;
    std::vector<Visit> theirs;
    std::vector<Visit> others;
    for (unsigned i = 0; i < options.repetitions; ++i) {
      ours.push_back(visit(tern.url() + row.tern_path, tern.pid(), options.duration));
      theirs.push_back(visit(nginx_url + row.nginx_path, nginx.pid(), options.duration));
      if (!with_other) continue;
      others.push_back(visit(page_url(other->url(), row), other->pid(), options.duration));
    }
    print(options, row, "nginx", ours, theirs);
    if (with_other) print(options, row, "uWebSockets", ours, others);
  }
  return 0;
}

}  // namespace tern::bench
