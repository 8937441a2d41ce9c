// SPDX-License-Identifier: Apache-2.0

package trace

import "github.com/coldtrace/coldtrace/trace/text"

// The words of package text that every other line of the drawings uses.
var (
	printable, columns, clip, fit, right = text.Printable, text.Columns, text.Clip, text.Fit, text.Right

	breakUp              = text.Break
	seconds, share, size = text.Seconds, text.Share, text.Size
	plural               = text.Plural
)
