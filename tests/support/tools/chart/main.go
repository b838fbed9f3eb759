// Lints and renders a chart with helm's own engine:
//
//	chart lint DIRECTORY [VALUES]
//	chart render DIRECTORY RELEASE NAMESPACE [VALUES]
//
// VALUES is a YAML file. Whatever Kubernetes' API server would have to know is taken to be there. Building helm's
// engine alone takes half the time of building helm.
package main

import (
	"fmt"
	"os"
	"path"
	"sort"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
)

func main() {
	if len(os.Args) < 3 {
		fail("chart lint|render DIRECTORY …")
	}
	switch os.Args[1] {
	case "lint":
		lintChart(os.Args[2], values(os.Args[3:]))
	case "render":
		render(os.Args[2], os.Args[3], os.Args[4], values(os.Args[5:]))
	default:
		fail("no such command: " + os.Args[1])
	}
}

func values(files []string) chartutil.Values {
	if len(files) == 0 {
		return chartutil.Values{}
	}
	values, err := chartutil.ReadValuesFile(files[0])
	check(err)
	return values
}

func lintChart(directory string, values chartutil.Values) {
	linted := lint.All(directory, values, "default", true)
	bad := false
	for _, message := range linted.Messages {
		fmt.Fprintln(os.Stderr, message)
		bad = bad || message.Severity >= support.WarningSev
	}
	if bad {
		os.Exit(1)
	}
}

func render(directory, release, namespace string, values chartutil.Values) {
	chart, err := loader.LoadDir(directory)
	check(err)
	options := chartutil.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(chart, values, options, chartutil.DefaultCapabilities)
	check(err)
	files, err := engine.Render(chart, all)
	check(err)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if path.Base(name) != "NOTES.txt" {
			fmt.Printf("---\n# %s\n%s\n", name, files[name])
		}
	}
}

func check(err error) {
	if err != nil {
		fail(err.Error())
	}
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(1)
}
