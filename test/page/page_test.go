// SPDX-License-Identifier: Apache-2.0

// Package page looks at the pages of a start and a report in a real browser, and clicks through the report's. It is a module of its own: what drives a browser is no
// part of the product.
package page

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// report makes a page of the starts in three files, waterfall one of a start.
var (
	report    = []string{"report", "--by", "image_tag", "trace/report/testdata/before.jsonl", "trace/report/testdata/after.jsonl", "trace/testdata/failed.jsonl"}
	waterfall = []string{"trace", "trace/testdata/ready.jsonl"}
)

// made is a page that the command itself makes.
func made(t *testing.T, args []string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), args[0]+".html")
	cmd := exec.CommandContext(t.Context(), "go", append(append([]string{"run", "./cmd/coldtrace"}, args...), "--html", path)...)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return path
}

// browser opens the page. Whatever it says on its console, or asks of the network, fails the test.
func browser(t *testing.T, path string) context.Context {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && program == "" {
			program = found
		}
	}
	if program == "" {
		missing := "there is no Chromium: apt-get install chromium"
		if os.Getenv("CI") != "" || os.Getenv("SCREENSHOTS") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.ExecPath(program))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	page := (&url.URL{Scheme: "file", Path: path}).String()
	run(t, ctx) // starts it
	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *log.EventEntryAdded:
			t.Errorf("the browser says: %s %s", e.Entry.Text, e.Entry.URL)
		case *runtime.EventExceptionThrown:
			t.Errorf("the script failed: %v", e.ExceptionDetails)
		case *network.EventRequestWillBeSent:
			if to := e.Request.URL; !strings.HasPrefix(to, page) && !strings.HasPrefix(to, "data:") {
				t.Errorf("the page loads %s", to)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, ctx, call(log.Enable, cdp.Empty{}), call(network.Enable, network.EnableParams{}), call(runtime.Enable, cdp.Empty{}), chromedp.Navigate(page))
	return ctx
}

func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, command, params)
		return chromedp.Void{}, err
	}
}

func run(t *testing.T, ctx context.Context, actions ...chromedp.Action[chromedp.Void]) { //nolint:revive // the test comes first everywhere here
	t.Helper()
	if len(actions) > 0 { // the first, which is none, starts the browser: a limit would be the browser's
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Minute)
		defer cancel()
	}
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// value is what an expression is in the page.
func value[T any](t *testing.T, ctx context.Context, expression string) T { //nolint:revive // as above
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const (
	rows  = `document.querySelectorAll("#starts tr").length`
	shown = `document.getElementById("start").hidden ? "" : document.querySelector("#start h2").textContent`
)

func TestAPersonClicksThroughTheReport(t *testing.T) {
	ctx := browser(t, made(t, report))
	if n := value[int](t, ctx, rows); n != 16 {
		t.Fatalf("%d starts are listed, want 16", n)
	}
	if n := value[int](t, ctx, `document.querySelectorAll("#groups article .stack").length`); n != 2 {
		t.Errorf("%d groups have a bar, want 2: of one no start got ready", n)
	}
	if n := value[int](t, ctx, `document.querySelectorAll("#distribution .dot").length + document.querySelectorAll("#timeline .dot").length`); n != 32 {
		t.Errorf("%d dots, want each start in both plots", n)
	}

	// One click: the waterfall; another: a span's attributes.
	run(t, ctx, chromedp.Click(`#starts tr:nth-child(2) button`)) // the newest failed
	first := value[string](t, ctx, shown)
	if !strings.HasPrefix(first, "models/") {
		t.Fatalf("a click on a start shows %q", first)
	}
	run(t, ctx, chromedp.Click(`#start details:nth-of-type(1) summary`), chromedp.WaitVisible(`#start details[open] dl`))
	if text := value[string](t, ctx, `document.querySelector("#start details[open] dl").innerText`); !strings.Contains(text, "from") {
		t.Errorf("a click on a span shows %q", text)
	}
	if tip := value[string](t, ctx, `[...document.querySelectorAll("#start summary.row")].map(n => n.title).join()`); !strings.Contains(tip, "torch_compile: ") || !strings.Contains(tip, "compile_cache: hit") {
		t.Errorf("hovering says %q", tip)
	}

	// The keyboard: next, previous, close, search.
	run(t, ctx, chromedp.KeyEvent("j"))
	second := value[string](t, ctx, shown)
	run(t, ctx, chromedp.KeyEvent("k"))
	if back := value[string](t, ctx, shown); second == first || back != first {
		t.Errorf("j shows %q and k %q after %q", second, back, first)
	}
	run(t, ctx, chromedp.KeyEvent(kb.Escape))
	if left := value[string](t, ctx, shown); left != "" {
		t.Errorf("after Esc %q is shown", left)
	}
	run(t, ctx, chromedp.KeyEvent("/"), chromedp.KeyEvent("cuda_out"))
	if n := value[int](t, ctx, rows); n != 1 {
		t.Errorf("the search finds %d starts, want the one that failed", n)
	}
	if n := value[int](t, ctx, `document.querySelectorAll("#groups article:not([hidden])").length`); n != 1 {
		t.Errorf("the search leaves %d groups, want 1", n)
	}
	value[bool](t, ctx, `document.querySelector("#timeline .dot").scrollIntoView({block: "center"}), true`) // from under the search
	run(t, ctx, chromedp.Click(`#timeline .dot`), chromedp.WaitVisible(`#start .row.failed .name`))
	if failed := value[string](t, ctx, `document.querySelector("#start .row.failed .name").innerText`); !strings.Contains(failed, "failed: ") {
		t.Errorf("the failed start's row says %q", failed)
	}

	// Who opens the page at a start sees it.
	hash := value[string](t, ctx, `location.hash`)
	run(t, ctx, chromedp.Reload(), chromedp.WaitVisible(`#start h2`))
	if again := value[string](t, ctx, `location.hash`); again != hash || hash == "" {
		t.Errorf("after a reload the page is at %q, want %q", again, hash)
	}
}

// TestThePagesFitScreensAndColourSchemes: nothing is wider than the window, and texts can be told from the paper. With
// SCREENSHOTS=DIR they are kept, to be looked at.
func TestThePagesFitScreensAndColourSchemes(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		opened []chromedp.Action[chromedp.Void] // what a person clicks to see a start
	}{
		"report":    {report, []chromedp.Action[chromedp.Void]{chromedp.Click(`#starts tr:first-child button`), chromedp.WaitVisible(`#start .row`)}},
		"waterfall": {waterfall, []chromedp.Action[chromedp.Void]{chromedp.WaitVisible(`.row .bar`)}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := browser(t, made(t, c.args))
			for _, scheme := range []string{"light", "dark"} {
				for _, width := range []int64{360, 800, 1600} {
					look(t, ctx, fmt.Sprintf("%s-%s-%d", name, scheme, width), scheme, width, c.opened)
				}
			}
		})
	}
}

func look(t *testing.T, ctx context.Context, name, scheme string, width int64, opened []chromedp.Action[chromedp.Void]) { //nolint:revive // as above
	t.Helper()
	run(t, ctx, append([]chromedp.Action[chromedp.Void]{
		call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}),
		chromedp.EmulateViewport(width, 900), chromedp.Reload(),
	}, opened...)...)
	if over := value[int64](t, ctx, `document.documentElement.scrollWidth`); over > width {
		t.Errorf("%s: the page is %d wide", name, over)
	}
	if ink, paper := value[string](t, ctx, `getComputedStyle(document.body).color`), value[string](t, ctx, `getComputedStyle(document.body).backgroundColor`); ink == paper || (scheme == "dark") != (paper == "rgb(15, 19, 24)") {
		t.Errorf("%s: %s on %s", name, ink, paper)
	}
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	const quality = 100 // and so PNG
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(quality))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		t.Fatal(err)
	}
}
