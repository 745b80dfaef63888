module github.com/segnas/segnas

go 1.24
