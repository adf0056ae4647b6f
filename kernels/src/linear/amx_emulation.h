// Replaces the tile intrinsics that linear_amx.cc uses by plain C++, to test its logic on machines without AMX. Only
// for builds with ASSAY_KERNELS_EMULATE.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbusd

namespace assay {
namespace {

constexpr int kTileRows = 16, kTileBytes = 64;

struct TileState {
  bool configured = false;
  uint8_t tile[8][kTileRows][kTileBytes];
};
thread_local TileState tiles;

// Like hardware, faults if the tiles are not configured.
inline TileState& configured() {
  if (!tiles.configured) __builtin_trap();
  return tiles;
}

inline void emulated_loadconfig(const void* config) {
  const auto* bytes = static_cast<const uint8_t*>(config);
  for (int t = 0; t < 8; ++t) {
    uint16_t columns;
    std::memcpy(&columns, bytes + 16 + 2 * t, sizeof(columns));
    if (bytes[0] != 1 || columns != kTileBytes || bytes[48 + t] != kTileRows) __builtin_trap();
  }
  tiles.configured = true;
}
inline void emulated_release() { tiles.configured = false; }
inline void emulated_zero(int t) { std::memset(configured().tile[t], 0, sizeof(tiles.tile[t])); }
inline void emulated_load(int t, const void* from, size_t stride) {
  for (size_t row = 0; row < kTileRows; ++row) {
    std::memcpy(configured().tile[t][row], static_cast<const char*>(from) + row * stride, kTileBytes);
  }
}
inline void emulated_store(int t, void* to, size_t stride) {
  for (size_t row = 0; row < kTileRows; ++row) {
    std::memcpy(static_cast<char*>(to) + row * stride, configured().tile[t][row], kTileBytes);
  }
}
// sums[m][n] += the four products of unsigned a[m][4k..] by signed b[k][4n..], for each k.
inline void emulated_dot(int sums, int a, int b) {
  for (int m = 0; m < kTileRows; ++m) {
    int32_t row[16];
    std::memcpy(row, configured().tile[sums][m], sizeof(row));
    for (int k = 0; k < 16; ++k) {
      for (int n = 0; n < 16; ++n) {
        for (int i = 0; i < 4; ++i) {
          row[n] += tiles.tile[a][m][4 * k + i] * static_cast<int8_t>(tiles.tile[b][k][4 * n + i]);
        }
      }
    }
    std::memcpy(tiles.tile[sums][m], row, sizeof(row));
  }
}

}  // namespace
}  // namespace assay

#define _tile_loadconfig(config) ::assay::emulated_loadconfig(config)
#define _tile_release() ::assay::emulated_release()
#define _tile_zero(t) ::assay::emulated_zero(t)
#define _tile_loadd(t, from, stride) ::assay::emulated_load(t, from, stride)
#define _tile_stored(t, to, stride) ::assay::emulated_store(t, to, stride)
#define _tile_dpbusd(sums, a, b) ::assay::emulated_dot(sums, a, b)
