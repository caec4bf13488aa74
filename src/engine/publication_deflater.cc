// One thread compresses a publication for all connections. If that is a worker, its other
// connections wait meanwhile, and other workers that need the same form wait, too. The thread that
// publishes is often not a worker. If it is one, the work is the same as with the first subscriber.
// So the publisher compresses, if a subscriber takes the form.
#include "engine/publication_deflater.h"

#include "base/chunk_pool.h"
#include "deflate/codec.h"
#include "deflate/params.h"
#include "engine/encoded_message.h"

#include <memory>
#include <mutex>
#include <new>
#include <optional>

namespace tern::engine {
namespace {

/// One compressor for all publishers of a server. It is made when it is first needed.
class PublicationDeflater {
 public:
  explicit PublicationDeflater(const Deflate& options) noexcept
      : parameters_{.level = options.level,
                    .window_bits = options.window_bits,
                    .memory_level = options.memory_level},
        min_bytes_(options.min_bytes.value_or(default_min_bytes)) {}

  void compress(const SharedMessage& shared) noexcept {
    const std::size_t size = shared.message().size();
    if (size == 0 || size < min_bytes_ || shared.encoded()->compressed() != nullptr) return;
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return;
    try {
      if (!deflater_) deflater_.emplace(parameters_);
      shared.encoded()->compress(*deflater_, chunks_);
    } catch (const std::bad_alloc&) {  // a connection tries again, and fails alone
    }
  }

 private:
  const deflate::DeflateParameters parameters_;
  const std::size_t min_bytes_;
  std::mutex mutex_{};
  // Guarded by mutex_:
  base::ChunkPool chunks_{};
  std::optional<deflate::Deflater> deflater_{};
};

}  // namespace

UniqueFunction<void(const SharedMessage&)> make_publication_deflater(const Deflate& options) {
  const std::optional<Deflate> usable = deflate::usable(options);
  if (!usable) return nullptr;
  return [deflater = std::make_unique<PublicationDeflater>(*usable)](const SharedMessage& shared) {
    deflater->compress(shared);
  };
}

}  // namespace tern::engine
