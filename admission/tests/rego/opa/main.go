// Command opa answers what the rule r of package t is in each of the modules on standard input.
//
// A module is a line of JSON, {"rego": TEXT, "v0": BOOL}; so is an answer: {"value": VALUE}, "undefined", {"refused": REASON} where
// it is not compiled, {"failed": REASON} where it is not evaluated, {"panicked": REASON} where OPA itself errs. The arguments are
// files: the input, and the data.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

// How long a module may be evaluated.
const limit = 3 * time.Second

type module struct {
	Rego string `json:"rego"`
	V0   bool   `json:"v0"`
}

func main() {
	if len(os.Args) != 3 {
		exit(fmt.Errorf("usage: opa INPUT.json DATA.json <MODULES.jsonl"))
	}
	if err := answer(os.Args[1], os.Args[2]); err != nil {
		exit(err)
	}
}

func exit(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func answer(inputPath, dataPath string) error {
	var input any
	if err := read(inputPath, &input); err != nil {
		return err
	}
	var data map[string]any
	if err := read(dataPath, &data); err != nil {
		return err
	}
	store := inmem.NewFromObject(data)
	modules := json.NewDecoder(bufio.NewReader(os.Stdin))
	out := bufio.NewWriter(os.Stdout)
	for modules.More() {
		var module module
		if err := modules.Decode(&module); err != nil {
			return err
		}
		answer, err := json.Marshal(ask(module, input, store))
		if err != nil {
			// A number that OPA took and JSON has not.
			answer, err = json.Marshal(map[string]any{"panicked": err.Error()})
		}
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%s\n", answer); err != nil {
			return err
		}
	}
	return out.Flush()
}

func read(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func ask(module module, input any, store storage.Store) (answer any) {
	defer func() {
		if panicked := recover(); panicked != nil {
			answer = map[string]any{"panicked": fmt.Sprint(panicked)}
		}
	}()
	version := ast.RegoV1
	if module.V0 {
		version = ast.RegoV0
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	query, err := rego.New(
		rego.Query("data.t.r"),
		rego.SetRegoVersion(version),
		rego.Module("case.rego", module.Rego),
		rego.Store(store),
	).PrepareForEval(ctx)
	if err != nil {
		return map[string]any{"refused": err.Error()}
	}
	results, err := query.Eval(ctx, rego.EvalInput(input))
	switch {
	case err != nil:
		return map[string]any{"failed": err.Error()}
	case len(results) == 0:
		return "undefined"
	default:
		return map[string]any{"value": results[0].Expressions[0].Value}
	}
}
