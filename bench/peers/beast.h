// Boost.Beast in the fastest form that its documentation and Asio's describe, for the server and
// the client here: one thread and no locks (BOOST_ASIO_DISABLE_THREADS), the executor as a type of
// its own instead of any_io_executor, no timers of tcp_stream. Include this header before all of
// Boost.
#pragma once

#define BOOST_ASIO_DISABLE_THREADS

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket.hpp>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using boost::system::error_code;

using Executor = asio::io_context::executor_type;
using Socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;
