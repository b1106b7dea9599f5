// Reads compose.yaml and the image files that it names as Docker would, without Docker: Compose's own loader checks the schema, fills in
// variables and resolves paths; BuildKit's own parser and linter read the image files, with what .dockerignore leaves of
// their folders. Prints all of it as one JSON document, for tests to compare with everything else; what is wrong goes to stderr.
//
//	go run -C infra/containers .
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// Stage is one FROM and what follows it.
type Stage struct {
	Name   string            `json:"name"`
	Base   string            `json:"base"`
	Copies []string          `json:"copies"` // From the folder, not from another stage.
	User   string            `json:"user"`
	Env    map[string]string `json:"env"`
	Ports  []string          `json:"ports"`
	Checks bool              `json:"checks"`
	Starts []string          `json:"starts"` // ENTRYPOINT.
}

func main() {
	if err := run(".."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(infra string) error {
	compose, err := rendered(filepath.Join(infra, "compose.yaml"))
	if err != nil {
		return err
	}
	images := map[string][]Stage{}
	for name, service := range compose.Services {
		if build := service.Build; build != nil {
			images[name], err = image(filepath.Join(build.Context, build.Dockerfile), build.Context)
			if err != nil {
				return err
			}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"compose": compose, "images": images})
}

// The file as `docker compose config` shows it, with every profile on and nothing from the environment.
func rendered(file string) (*types.Project, error) {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithProfiles([]string{"*"}))
	if err != nil {
		return nil, err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return project, nil
}

func image(file, folder string) ([]Stage, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var wrong []string
	for _, warning := range parsed.Warnings {
		wrong = append(wrong, warning.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, at []parser.Range) {
		wrong = append(wrong, fmt.Sprintf("line %d: %s (%s)", at[0].Start.Line, message, rule))
	}})
	parts, _, err := instructions.Parse(parsed.AST, lint)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	stages := make([]Stage, 0, len(parts))
	for _, part := range parts {
		stages = append(stages, stage(part))
	}
	left, err := ignored(file + ".dockerignore")
	if err != nil {
		return nil, err
	}
	for _, copied := range stages {
		for _, source := range copied.Copies {
			if _, err := os.Stat(filepath.Join(folder, source)); err != nil {
				wrong = append(wrong, err.Error())
			} else if out, err := left.MatchesOrParentMatches(source); err != nil || out {
				wrong = append(wrong, fmt.Sprintf("%s is copied and ignored (%v)", source, err))
			}
		}
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("%s: %s", file, strings.Join(wrong, "; "))
	}
	return stages, nil
}

func stage(part instructions.Stage) Stage {
	found := Stage{Name: part.Name, Base: part.BaseName, Env: map[string]string{}}
	for _, command := range part.Commands {
		switch command := command.(type) {
		case *instructions.CopyCommand:
			if command.From == "" {
				found.Copies = append(found.Copies, command.SourcePaths...)
			}
		case *instructions.UserCommand:
			found.User = command.User
		case *instructions.EnvCommand:
			for _, pair := range command.Env {
				found.Env[pair.Key] = pair.Value
			}
		case *instructions.ExposeCommand:
			found.Ports = append(found.Ports, command.Ports...)
		case *instructions.HealthCheckCommand:
			found.Checks = true
		case *instructions.EntrypointCommand:
			found.Starts = command.CmdLine
		}
	}
	return found
}

func ignored(file string) (*patternmatcher.PatternMatcher, error) {
	text, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return patternmatcher.New(nil)
	}
	if err != nil {
		return nil, err
	}
	defer text.Close()
	patterns, err := ignorefile.ReadAll(text)
	if err != nil {
		return nil, err
	}
	return patternmatcher.New(patterns)
}
