#pragma once

#include "tern/message.h"
#include "tern/options.h"
#include "tern/unique_function.h"

namespace tern::engine {

/// Returns a function that makes the compressed form of a message, in the thread that publishes it.
/// It does nothing for a message that Deflate::min_bytes leaves uncompressed, without memory, and
/// while another thread is in it: then the first connection that needs the form makes it. It throws
/// nothing, and any thread may call it. Throws std::bad_alloc.
UniqueFunction<void(const SharedMessage&)> make_publication_deflater(const Deflate& options);

}  // namespace tern::engine
