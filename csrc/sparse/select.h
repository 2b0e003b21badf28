// Thresholds of sparse columns on the CPU, from the words near them.
#pragma once

#include "sparse/sparse.h"

namespace winit_cuda {

// Writes fill.thresholds, of a fill with zeros in each column. Columns are looked at in tiles,
// whose words are made once: those in the window around the expected threshold are kept, 16 bytes
// times the square root of the column's length or less for each column of a tile, and the threshold
// is found among them. Where the window of a column does not hold it, the tile gets a wider one.
void select_thresholds_cpu(const SparseFill& fill, int threads);

}  // namespace winit_cuda
