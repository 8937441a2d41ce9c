// SPDX-License-Identifier: Apache-2.0

package inject

import (
	"testing"

	"github.com/coldtrace/coldtrace/config"
	"github.com/coldtrace/coldtrace/engine/recipe"
)

func TestTheWrapperHasARecipeForEveryEngineItIsTold(t *testing.T) {
	for _, name := range config.Engines {
		if recipe.ByName(name) == nil {
			t.Errorf("no recipe for %s", name)
		}
	}
}
