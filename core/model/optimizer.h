/* What moves the parameters: which tensors an optimizer treats how, what state it keeps for them,
 * what it costs.
 *
 * AdamW (Loshchilov, Hutter, arXiv 1711.05101): two moments of every parameter.
 *
 * Muon (Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024,
 * kellerjordan.github.io/posts/muon) on the matrices of the layers, AdamW on embedding and norms.
 * For a matrix P (rows, columns), gradient G (after clipping), momentum M:
 *   M ← G + 0.95·M                      one moment
 *   U = G + 0.95·M                      Nesterov
 *   X = U / (‖U‖ + 1e-7)                Frobenius norm, kern_sum_squares
 *   five times, Newton–Schulz:          X's singular values go near 1
 *     A = X Xᵀ (Xᵀ X where rows > columns: the smaller side squared)
 *     X ← a·X + (b·A + c·A·A) X, or X (b·A + c·A·A);  a, b, c = 3.4445, −4.7750, 2.0315
 *   P ← (1 − rate·decay)·P − rate·0.2·√max(rows, columns)·X
 * The factor (Liu et al., "Muon is Scalable for LLM Training", arXiv 2502.16982, section 2.2) makes
 * the update's root mean square that of AdamW's usual one, so that one learning rate and one weight
 * decay serve both halves of the model. Products are kern_matmul's, so rounded as the engine's
 * precision says; all else is float32. */
#ifndef TACIT_MODEL_OPTIMIZER_H
#define TACIT_MODEL_OPTIMIZER_H

#include <stdbool.h>
#include <stdint.h>
#include "core/model/model.h"

enum optimizer { OPTIMIZER_ADAMW = 0, OPTIMIZER_MUON = 1 };

const char *optimizer_word(enum optimizer o); /* "adamw", "muon" */

/* Whether the tensor is one of those that Muon orthogonalises: no second moment is kept of it. */
bool optimizer_is_muons(enum optimizer o, const struct model_tensor *t);
/* Floats of the moments that are kept: 2 a parameter, or fewer. */
uint64_t optimizer_moments(enum optimizer o, const struct model_config *c);
/* Zeroes the moments that are kept, in arrays of model_parameters floats each. What is not kept is
 * never touched: memory that is reserved for it is not taken. */
void optimizer_clear(enum optimizer o, const struct model_config *c, float *moment1,
                     float *moment2);
/* FLOPs of one step's orthogonalisations; what goes element by element is not counted, as the
 * paper's formulas don't (0 for AdamW). */
double optimizer_flops(enum optimizer o, const struct model_config *c);

#define OPTIMIZER_ROUNDS 5 /* of Newton–Schulz */

#endif
