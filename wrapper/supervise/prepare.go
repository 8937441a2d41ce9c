// SPDX-License-Identifier: Apache-2.0

package supervise

// prepare is the command line and environment that the command gets.
func (s *supervisor) prepare() (argv, env []string) { return s.argv, s.env }
