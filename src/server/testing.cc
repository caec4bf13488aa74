// The public classes for tests.
#include "tern/testing.h"

#include "http/response.h"
#include "http/token.h"
#include "server/test_bench.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace tern {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

bool has(const Fields& fields, std::string_view name) {
  return std::ranges::any_of(fields,
                             [&](const auto& field) { return http::iequals(field.first, name); });
}

std::string head_of(std::string_view method, std::string_view target, const Fields& fields) {
  std::string head(method);
  head.append(" ").append(target).append(" HTTP/1.1\r\n");
  if (!has(fields, "Host")) head += "Host: test\r\n";
  for (const auto& [name, value] : fields) {
    if (http::append_field(head, name, value)) continue;
    std::string why = "no field can be written as \"";
    throw std::runtime_error(why.append(name).append(": ").append(value).append("\""));
  }
  return head;
}

}  // namespace

// ---- TestPeer

TestPeer::TestPeer(std::shared_ptr<server::TestBench> bench,
                   std::shared_ptr<server::TestConnection> connection) noexcept
    : bench_(std::move(bench)), connection_(std::move(connection)) {}
TestPeer::TestPeer(TestPeer&&) noexcept = default;
TestPeer& TestPeer::operator=(TestPeer&& other) noexcept {
  std::swap(bench_, other.bench_);
  std::swap(connection_, other.connection_);
  return *this;
}

TestPeer::~TestPeer() {
  if (connection_ == nullptr) return;
  connection_->drop();
  bench_->forget(connection_);
}

int TestPeer::status() {
  bench_->run();
  return connection_->status();
}

std::string TestPeer::header(std::string_view name) {
  bench_->run();
  return std::string(connection_->header(name));
}

std::string TestPeer::body() {
  bench_->run();
  return connection_->body();
}

bool TestPeer::ended() {
  bench_->run();
  return connection_->ended();
}

std::string TestPeer::take() {
  bench_->run();
  return connection_->take().value_or("");
}

std::vector<std::string> TestPeer::take_all() {
  bench_->run();
  std::vector<std::string> all;
  while (auto next = connection_->take()) all.push_back(*std::move(next));
  return all;
}

void TestPeer::send(Message message) {
  connection_->send(message);
  bench_->run();
}

void TestPeer::ping(std::string_view payload) {
  connection_->ping(payload);
  bench_->run();
}

void TestPeer::close(CloseCode code, std::string_view reason) {
  connection_->close(code, reason);
  bench_->run();
}

void TestPeer::drop() {
  connection_->drop();
  bench_->run();
}

void TestPeer::send_bytes(std::string_view bytes) {
  connection_->send_bytes(bytes);
  bench_->run();
}

void TestPeer::stall() { connection_->stall(true); }

void TestPeer::resume() {
  connection_->stall(false);
  bench_->run();
}

// ---- TestServer

TestServer::TestServer(ServerOptions options)
    : bench_(std::make_shared<server::TestBench>(std::move(options))) {}
TestServer::~TestServer() { bench_->end(); }
Server& TestServer::server() noexcept { return bench_->server(); }

TestPeer TestServer::request(TestRequest request) {
  std::string bytes = head_of(request.method, request.target, request.headers);
  const bool framed = has(request.headers, "Content-Length") ||
                      has(request.headers, "Transfer-Encoding") || request.body.empty();
  if (!framed) bytes += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  if (!has(request.headers, "Connection")) bytes += "Connection: close\r\n";
  bytes.append("\r\n").append(request.body);
  return {bench_, bench_->connect(std::move(bytes), request.method == "HEAD")};
}

TestPeer TestServer::get(std::string target) { return request({.target = std::move(target)}); }

TestPeer TestServer::connect(std::string target, Fields headers) {
  std::string bytes = head_of("GET", target, headers);
  bytes +=
      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  return {bench_, bench_->connect(std::move(bytes), false)};
}

void TestServer::advance(std::chrono::nanoseconds time) { bench_->advance(time); }
void TestServer::run() { bench_->run(); }

}  // namespace tern
