// SPDX-License-Identifier: Apache-2.0

package recipe

// ReasonEndedSilently: the log stops at the end of a line in the middle of a start, with no word about why.
const ReasonEndedSilently = "ended_silently"
